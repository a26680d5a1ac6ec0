import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from vae_jax.metrics import disentanglement as d
from vae_jax.metrics.disentanglement import information

UNCOMPILED = 21
"""Bins that no other test has: the program is compiled where it is wanted."""


@pytest.fixture
def optimised():
    """Programs are compiled as for users: their sums round in another order."""
    name = "jax_disable_most_optimizations"
    usual = jax.config.read(name)
    jax.config.update(name, False)
    yield
    jax.config.update(name, usual)


def test_histogram_of_six_values_in_three_bins():
    values = jnp.array([[0.1], [0.2], [0.3], [0.4], [0.5], [0.6]])
    found = information.histogram_bins(values, bins=3)
    np.testing.assert_array_equal(found[:, 0], [0, 0, 1, 1, 2, 2])


def test_a_constant_is_in_one_bin():
    found = information.histogram_bins(jnp.full((5, 1), 0.3), bins=4)
    assert len(np.unique(found)) == 1


def test_entropy_of_equal_classes_is_the_log_of_their_number():
    assert information.entropy(jnp.array([4, 4, 4])) == pytest.approx(math.log(3))
    assert information.entropy(jnp.array([0, 9, 0])) == 0


def test_information_of_equal_and_of_independent_classes():
    first = jnp.array([0, 0, 1, 1])
    for second, nats in (([0, 0, 1, 1], math.log(2)), ([0, 1, 0, 1], 0)):
        found = information.mutual_information(first, jnp.array(second), sizes=(2, 2))
        assert found == pytest.approx(nats, abs=1e-6)


@pytest.mark.parametrize("number", [7, 3000, 737_280])
def test_information_about_a_constant_is_zero_without_rounding(optimised, number):
    information_of = jax.jit(
        functools.partial(information.mutual_information, sizes=(UNCOMPILED, 20))
    )
    rng = np.random.default_rng(0)
    other = jnp.asarray(np.minimum(rng.geometric(0.2, number) - 1, 19))
    same = jnp.full(number, 3)
    for first, second in ((same, other), (other, same), (same, same)):
        assert information_of(first, second) == 0


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    number=st.sampled_from([20, 1000, 50_000]),
    shared=st.sampled_from([0.0, 0.01, 0.3, 1.0]),
)
def test_information_is_that_of_scikit_learn(seed, number, shared, rounding):
    """Of labels that are independent, nearly so, dependent, and the same."""
    rng = np.random.default_rng(seed)
    first, other = rng.integers(0, 20, (2, number))
    second = np.where(rng.random(number) < shared, first, other)
    found = information.mutual_information(
        jnp.asarray(first), jnp.asarray(second), sizes=(20, 20)
    )
    expected = mutual_info_score(first, second)
    # A sum of 400 terms of either sign, each the log of a ratio, which is rounded too.
    joint = np.histogram2d(first, second, 20)[0] / number
    independent = np.outer(joint.sum(1), joint.sum(0))
    share = joint[joint > 0]
    size = np.abs(share * np.log(share / independent[joint > 0])).sum()
    assert found == pytest.approx(expected, abs=rounding(size, 404) + rounding(1, 4))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_mig_equals_numpy_bins_and_scikit_learn_information(seed):
    rng = np.random.default_rng(seed)
    classes = np.concatenate([[[0, 0], [2, 3]], rng.integers(0, [3, 4], (58, 2))])
    codes = rng.normal(size=(60, 3)).astype(np.float32) + classes[:, :1]
    codes = codes.astype(np.float32)
    found = d.mig_binned(codes, d.labelled(classes))
    expected = np.zeros((3, 2))
    for i, code in enumerate(codes.T):
        binned = np.digitize(code, np.histogram(code, 20)[1][:-1])
        expected[i] = [mutual_info_score(binned, truth) for truth in classes.T]
    np.testing.assert_allclose(found.mutual_information, expected, atol=1e-6)
    entropy = np.array([mutual_info_score(truth, truth) for truth in classes.T])
    np.testing.assert_allclose(found.entropy, entropy, rtol=1e-5)
    best = np.sort(expected, 0)[::-1]
    assert found.score == pytest.approx(
        ((best[0] - best[1]) / entropy).mean(), abs=1e-5
    )


def test_mig_of_identity_zeros_and_duplicates(ten):
    assert d.mig_binned(ten.identity, ten.factors).score > 0.97
    assert d.mig_binned(ten.zeros, ten.factors).score == 0
    assert d.mig_binned(ten.duplicated, ten.factors).score == pytest.approx(0, abs=1e-6)


def test_mig_of_a_full_grid_is_exact():
    grid = d.FullGrid((3, 4))
    codes = np.asarray(grid.classes(jnp.arange(12)), np.float32)
    found = d.mig_binned(codes, grid)
    assert found.score == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(
        found.mutual_information, np.diag(np.log([3.0, 4])), atol=1e-6
    )


def test_mig_under_vmap_equals_run_by_run(ten):
    runs = jnp.stack([ten.identity[:, [0, 1, 2]], ten.identity[:, [0, 0, 1]] ** 2])
    together = jax.vmap(lambda codes: d.mig_binned(codes, ten.factors).score)(runs)
    one_by_one = [d.mig_binned(codes, ten.factors).score for codes in runs]
    np.testing.assert_allclose(together, jnp.stack(one_by_one), rtol=1e-6)


EYE = np.eye(5)


@pytest.mark.parametrize(
    ("matrix", "score"),
    [
        (EYE, 1),
        (3 * EYE, 1),
        ([[1, 0], [0, 1], [0, 0]], 2 / 3),
        (np.zeros((10, 10)), 0),
        (np.concatenate([EYE, EYE]), 1),
        (EYE[:2], 1),
        (np.concatenate([EYE, EYE], 1), 1 - 1 / 9),
        ([[2, 1]], 1 - 1 / 4),
    ],
)
def test_modularity_of_matrices(matrix, score):
    found = d.modularity_of(jnp.asarray(matrix, jnp.float32))
    assert found == pytest.approx(score, abs=1e-6)


def test_modularity_of_identity_duplicates_and_shuffled_factors(ten):
    assert d.modularity(ten.identity, ten.factors) > 0.99
    assert d.modularity(ten.duplicated, ten.factors) > 0.99
    classes = np.random.default_rng(0).integers(0, 10, (20_000, 10))
    shuffled = np.random.default_rng(1).permuted(classes, axis=1).astype(np.float32)
    assert 0 <= d.modularity(shuffled, d.labelled(classes)) < 0.2


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_modularity_of_constant_latents_is_zero(optimised, ten, value):
    dead = ten.zeros + np.float32(value)
    assert d.modularity(dead, ten.factors, bins=UNCOMPILED) == 0


@pytest.mark.parametrize("sizes", [(3, 4), (5, 5, 7), (3, 6, 10, 8, 8)])
def test_modularity_of_as_many_perfect_as_constant_latents_is_one_half(
    optimised, sizes
):
    grid = d.FullGrid(sizes)
    live = np.asarray(grid.classes(jnp.arange(grid.number)), np.float32)
    both = np.concatenate([live, np.full_like(live, 0.3)], 1)
    found = d.modularity(both, grid, bins=UNCOMPILED)
    assert found == pytest.approx(0.5, abs=1e-6)


def test_constant_latents_halve_the_modularity_of_a_sample(optimised, ten):
    alone = d.modularity(ten.identity, ten.factors, bins=UNCOMPILED)
    both = np.concatenate([ten.identity, ten.zeros], 1)
    found = d.modularity(both, ten.factors, bins=UNCOMPILED)
    assert found == pytest.approx(float(alone) / 2, rel=1e-6)


def test_modularity_of_one_factor_is_refused():
    with pytest.raises(ValueError, match=r"modularity_of: factors .* needs two, got 1"):
        d.modularity_of(jnp.ones((3, 1)))


def test_mean_code_information_is_that_of_scikit_learn_over_pairs(mixed):
    binned = [
        np.digitize(code, np.histogram(code, 20)[1][:-1]) for code in mixed.codes.T
    ]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([mutual_info_score(binned[i], binned[j]) for i, j in pairs])
    assert d.mean_code_information(mixed.codes) == pytest.approx(expected, rel=1e-4)
