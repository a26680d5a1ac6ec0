import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.metrics import disentanglement as d

KEY = jax.random.key(0)
SMALL = d.Protocol(votes=3000, evaluation_votes=2000, group=5, variance_examples=2500)
SPRITES = d.FullGrid((3, 6, 10, 8, 8))


def grid_codes(grid):
    return np.asarray(grid.classes(jnp.arange(grid.number)), np.float32)


def test_identity_is_perfect_for_both_scores(ten):
    found = d.factor_vae_score(ten.identity, ten.factors, key=KEY, protocol=SMALL)
    # In groups of five, another factor is constant too once in a thousand times.
    assert found.score > 0.99
    assert found.votes.sum() == 3000
    np.testing.assert_array_equal(found.factor, np.arange(10))
    assert np.trace(found.votes) > 0.99 * 3000
    assert d.beta_vae_score(ten.identity, ten.factors, key=KEY, protocol=SMALL) > 0.9


def test_without_a_latent_that_may_vote_the_score_is_zero(ten):
    found = d.factor_vae_score(ten.zeros, ten.factors, key=KEY, protocol=SMALL)
    assert found.score == 0
    assert not found.active.any()
    assert not found.votes.any()
    beta = d.beta_vae_score(ten.zeros, ten.factors, key=KEY, protocol=SMALL)
    assert beta == pytest.approx(0.1, abs=0.03)


def test_codes_that_know_nothing_score_at_chance(ten):
    codes = np.random.default_rng(1).normal(size=(3000, 10))
    found = d.factor_vae_score(codes, ten.factors, key=KEY, protocol=SMALL)
    # Standard error of 2000 votes at 1 in 10: 0.0067.
    assert found.score == pytest.approx(0.1, abs=0.025)


def test_scores_do_not_depend_on_order_sign_or_scale_of_latents():
    grid = d.FullGrid((3, 4, 5))
    codes = grid_codes(grid)
    codes += 0.7 * np.random.default_rng(0).normal(size=codes.shape)
    changed = codes[:, [2, 0, 1]] * np.array([-1.0, 2, 4])
    first, second = (
        d.factor_vae_score(z, grid, key=KEY, protocol=SMALL) for z in (codes, changed)
    )
    assert 0.5 < first.score < 1
    assert first.score == second.score
    np.testing.assert_array_equal(first.votes[:, [2, 0, 1]], second.votes)


def test_of_equal_latents_the_first_gets_the_vote(ten):
    found = d.factor_vae_score(ten.duplicated, ten.factors, key=KEY, protocol=SMALL)
    assert found.votes[:, :10].sum() == 3000
    assert found.score > 0.99


def test_of_equal_factors_the_first_is_chosen():
    grid = d.FullGrid((2, 2))
    protocol = d.Protocol(votes=10, evaluation_votes=None, balanced=True)
    codes = np.random.default_rng(0).normal(size=(4, 1))
    found = d.factor_vae_score(codes, grid, key=KEY, protocol=protocol)
    np.testing.assert_array_equal(found.votes, [[5], [5]])
    assert found.factor == 0
    assert found.score == 0.5


def test_pruning_divides_by_one_less_than_the_examples():
    grid = d.FullGrid((2, 2))
    found = d.factor_vae_score(
        grid_codes(grid),
        grid,
        key=KEY,
        protocol=d.Protocol(variance_examples=None, minimum_std=0.55),
    )
    np.testing.assert_allclose(found.std, (1 / 3) ** 0.5, rtol=1e-6)  # not 0.5
    assert found.active.all()


def test_a_pruned_latent_keeps_its_column_and_gets_no_vote():
    grid = d.FullGrid((3, 4))
    codes = grid_codes(grid)
    codes = np.stack([np.full(12, 0.3), codes[:, 0], codes[:, 0] / 100, codes[:, 1]], 1)
    found = d.factor_vae_score(codes, grid, key=KEY)
    np.testing.assert_array_equal(found.active, [False, True, False, True])
    assert found.score == 1
    assert found.votes[:, [0, 2]].sum() == 0
    assert found.votes.sum() == 10_000
    everyone = dataclasses.replace(d.STANDARD, minimum_std=0.0)
    found = d.factor_vae_score(codes, grid, key=KEY, protocol=everyone)
    np.testing.assert_array_equal(found.active, [False, True, True, True])


def test_pruning_by_kl_needs_the_kl_and_leaves_out_what_is_at_most_the_limit():
    grid = d.FullGrid((3, 4))
    with pytest.raises(
        ValueError, match=r"factor_vae_score: this protocol .* got none"
    ):
        d.factor_vae_score(grid_codes(grid), grid, key=KEY, protocol=d.REPRO2021)
    kl = np.array([1e-5, 1.0], np.float32)
    found = d.factor_vae_score(
        grid_codes(grid), grid, key=KEY, protocol=d.REPRO2021, kl=kl
    )
    np.testing.assert_array_equal(found.active, [False, True])


def test_votes_equal_a_loop_over_groups():
    """The groups are those that the key gives; what is made of them is checked."""
    from vae_jax.metrics.disentanglement import votes

    grid = d.FullGrid((3, 4))
    codes = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    protocol = d.Protocol(votes=200, evaluation_votes=None, variance_examples=None)
    found = d.factor_vae_score(codes, grid, key=KEY, protocol=protocol)
    key = jax.random.split(KEY)[1]
    factor, group = votes._groups(grid, 2, key=key, protocol=protocol)
    expected = np.zeros((2, 3), int)
    for k, members in zip(np.asarray(factor), np.asarray(group), strict=True):
        assert len(members) == 64
        assert len(np.unique(grid.classes(jnp.asarray(members))[:, k])) == 1
        local = codes[members].var(0, ddof=1) / codes.var(0, ddof=1)
        expected[k, local.argmin()] += 1
    np.testing.assert_array_equal(found.votes, expected)
    assert found.score == pytest.approx(expected.max(0).sum() / 200)


@pytest.mark.parametrize(
    ("idle", "ceiling", "tolerance"),
    [(0, 0.83125, 0), (5, 0.954, 0.02), (27, 0.994, 0.006)],
)
def test_a_perfect_code_meets_the_ceiling_of_the_protocol_of_2021(
    idle, ceiling, tolerance
):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((SPRITES.number, idle), dtype=np.float32)
    codes = np.concatenate([grid_codes(SPRITES), noise], 1)
    found = d.factor_vae_score(
        codes, SPRITES, key=KEY, protocol=d.REPRO2021, kl=np.ones(5 + idle, np.float32)
    )
    assert found.votes.sum() == 798
    assert found.score == pytest.approx(ceiling, abs=tolerance + 1e-6)
    if not idle:
        assert d.factor_vae_score(codes, SPRITES, key=KEY).score == 1


def test_all_examples_share_a_constant_factor():
    from vae_jax.metrics.disentanglement import votes

    grid = d.FullGrid((3, 4))
    protocol = dataclasses.replace(SMALL, constant_factors=1)
    factor, group = votes._groups(grid, 3, key=KEY, protocol=protocol)
    groups = grid.classes(group.ravel()).reshape(*group.shape, 2)
    shared = (groups == groups[:, :1]).all(1)
    assert shared[factor == 1, 0].all()
    assert shared[factor == 2, 1].all()
    # A fifth of the groups of five cannot share a value of either by chance.
    assert shared[factor == 0].mean() < 0.02
    counts = np.bincount(np.asarray(group[factor == 0]).ravel(), minlength=12)
    np.testing.assert_allclose(counts / counts.sum(), 1 / 12, atol=0.02)


def test_balanced_votes_that_are_new_are_scored_over_the_number_asked_for():
    grid = d.FullGrid((3, 4))
    protocol = d.Protocol(votes=101, evaluation_votes=51, balanced=True)
    found = d.factor_vae_score(grid_codes(grid), grid, key=KEY, protocol=protocol)
    np.testing.assert_array_equal(found.votes, [[50, 0], [0, 50]])
    assert found.score == pytest.approx(50 / 51)
    assert d.beta_vae_score(grid_codes(grid), grid, key=KEY, protocol=protocol) == 1


def test_beta_vae_score_is_the_accuracy_of_scikit_learn_on_the_same_kind_of_points(
    mixed,
):
    from sklearn.linear_model import LogisticRegression

    protocol = d.Protocol(votes=4000, evaluation_votes=4000, group=8)
    found = d.beta_vae_score(mixed.codes, mixed.factors, key=KEY, protocol=protocol)
    rng = np.random.default_rng(0)

    def points(number):
        features, factors = [], rng.integers(0, 2, number)
        for k in factors:
            first = rng.integers(0, 400, 8)
            column = mixed.classes[:, k]
            second = [rng.choice(np.flatnonzero(column == column[i])) for i in first]
            difference = np.abs(mixed.codes[first] - mixed.codes[second])
            features.append(difference.mean(0))
        return np.array(features), factors

    twin = LogisticRegression().fit(*points(2000)).score(*points(2000))
    assert 0.55 < twin < 0.95
    # Two samples of 2000 and 4000 votes: standard error 0.012.
    assert found == pytest.approx(twin, abs=0.045)


def test_the_deviation_of_codes_far_from_zero_is_theirs(ten):
    codes = np.random.default_rng(0).normal(size=(ten.factors.number, 2)) + 1e6
    codes = codes.astype(np.float32)
    protocol = dataclasses.replace(d.STANDARD, variance_examples=None)
    found = d.factor_vae_score(
        codes, ten.factors, key=jax.random.key(0), protocol=protocol
    )
    np.testing.assert_allclose(found.std, codes.astype(float).std(0, ddof=1), rtol=1e-4)
