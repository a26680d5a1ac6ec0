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
    np.testing.assert_allclose(found.mutual_information, expected, atol=2e-6)
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
