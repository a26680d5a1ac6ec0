import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.metrics import disentanglement as d

SIZES = (3, 1, 4, 2)


def sets():
    grid = d.FullGrid(SIZES)
    unbalanced = np.random.default_rng(0).integers(0, [3, 2, 5], (50, 3))
    return [grid, d.labelled(unbalanced)]


def test_the_last_factor_of_a_grid_is_fastest():
    grid = d.FullGrid(SIZES)
    expected = np.stack(np.unravel_index(np.arange(24), SIZES), 1)
    np.testing.assert_array_equal(grid.classes(jnp.arange(24)), expected)
    assert grid.number == 24


@pytest.mark.parametrize("factors", sets(), ids=["grid", "labelled"])
def test_a_match_shares_its_factor_and_is_uniform_among_those_that_do(factors):
    draws = 200 * factors.number
    for factor in range(len(factors.sizes)):
        match = factors.matching(
            jnp.full(draws, 7), jnp.full(draws, factor), key=jax.random.key(factor)
        )
        column = np.asarray(factors.classes(jnp.arange(factors.number)))[:, factor]
        sharing = np.flatnonzero(column == column[7])
        found, counts = np.unique(np.asarray(match), return_counts=True)
        np.testing.assert_array_equal(found, sharing)
        expected = draws / len(sharing)
        np.testing.assert_allclose(counts, expected, atol=6 * expected**0.5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_grid_and_labels_of_the_grid_agree_about_matches(seed):
    index = jnp.arange(24)
    factor = jax.random.randint(jax.random.key(seed), (24,), 0, 4)
    grid = d.FullGrid(SIZES)
    for factors in (grid, d.take(grid, index)):
        match = factors.matching(index, factor, key=jax.random.key(seed + 1))
        same = grid.classes(match) == grid.classes(index)
        assert same[index, factor].all()


def test_constant_factors_come_first_and_change_no_other():
    index = jnp.arange(24)
    grid = d.FullGrid(SIZES)
    for factors in (grid, d.take(grid, index)):
        more = factors.with_constants(2)
        assert more.sizes == (1, 1, *SIZES)
        assert (more.classes(index)[:, :2] == 0).all()
        np.testing.assert_array_equal(more.classes(index)[:, 2:], grid.classes(index))


@pytest.mark.parametrize(
    ("number", "expected"), [(100, (20, 10)), (30, (20, 10)), (15, (10, 5))]
)
def test_a_split_is_disjoint_and_keeps_its_proportion(number, expected):
    split = d.random_split(number, train=20, test=10, key=jax.random.key(0))
    assert (len(split.train), len(split.test)) == expected
    both = np.concatenate(split)
    assert len(np.unique(both)) == len(both)
    assert both.max() < number


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([[0, 1], [-1, 0]], "labelled: classes must count from 0, got -1"),
        ([[0, 3], [1, 3]], "labelled: factor 1 has one value in all examples"),
    ],
)
def test_labels_that_are_no_classes_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        d.labelled(np.array(classes))


def calls(codes, factors):
    split = d.Split(jnp.arange(2), jnp.arange(2, 4))
    key = jax.random.key(0)
    return {
        "factor_vae_score": lambda: d.factor_vae_score(codes, factors, key=key),
        "beta_vae_score": lambda: d.beta_vae_score(codes, factors, key=key),
        "mig_binned": lambda: d.mig_binned(codes, factors),
        "mig_density": lambda: d.mig_density(codes, np.zeros((4, 2)), factors),
        "modularity": lambda: d.modularity(codes, factors),
        "sap": lambda: d.sap(codes, factors, split),
        "sap_correlation": lambda: d.sap_correlation(codes, factors),
        "explicitness": lambda: d.explicitness(codes, factors, split),
        "dci_logistic": lambda: d.dci_logistic(codes, factors, split),
        "dci_trees": lambda: d.dci_trees(codes, factors, split),
        "irs": lambda: d.irs(codes, factors),
        "suite": lambda: d.suite(codes, factors, key=key),
    }


GRID = d.FullGrid((2, 2))


@pytest.mark.parametrize("name", calls(np.zeros((4, 2)), GRID))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_codes_of_a_run_that_diverged_are_refused_by_name(name, bad):
    codes = np.zeros((4, 2))
    codes[2, 1] = bad
    with pytest.raises(ValueError, match=rf"^{name}: codes must be finite, latent 1"):
        calls(codes, GRID)[name]()


@pytest.mark.parametrize("name", calls(np.zeros((4, 2)), GRID))
def test_codes_of_other_examples_are_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"^{name}: .* got 4 codes and 6 examples"):
        calls(np.zeros((4, 2)), d.FullGrid((3, 2)))[name]()


@pytest.mark.parametrize(
    "name", ["mig_binned", "mig_density", "sap", "sap_correlation"]
)
def test_a_gap_needs_two_latents(name):
    codes = np.zeros((4, 1))
    functions = calls(codes, GRID) | {
        "mig_density": lambda: d.mig_density(codes, codes, GRID)
    }
    with pytest.raises(ValueError, match=f"^{name}: a gap .* needs two, got 1"):
        functions[name]()


def test_unlabelled_metrics_refuse_what_is_not_finite():
    codes = np.array([[0.0, np.nan], [1, 2]])
    for function in (
        d.gaussian_total_correlation,
        d.gaussian_wasserstein,
        d.mean_code_information,
    ):
        with pytest.raises(ValueError, match=f"^{function.__name__}: codes must be"):
            function(codes)
