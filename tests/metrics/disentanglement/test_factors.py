import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.metrics import disentanglement as d

SIZES = (3, 2, 4, 2)


def sets():
    grid = d.FullGrid(SIZES)
    unbalanced = np.random.default_rng(0).integers(0, [3, 2, 5], (50, 3))
    return [grid, d.labelled(unbalanced)]


def test_the_last_factor_of_a_grid_is_fastest():
    grid = d.FullGrid(SIZES)
    expected = np.stack(np.unravel_index(np.arange(48), SIZES), 1)
    np.testing.assert_array_equal(grid.classes(jnp.arange(48)), expected)
    assert grid.number == 48


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
    index = jnp.arange(48)
    factor = jax.random.randint(jax.random.key(seed), (48,), 0, 4)
    grid = d.FullGrid(SIZES)
    for factors in (grid, d.take(grid, index)):
        match = factors.matching(index, factor, key=jax.random.key(seed + 1))
        same = grid.classes(match) == grid.classes(index)
        assert same[index, factor].all()


@pytest.mark.parametrize(
    ("number", "expected"),
    [(100, (20, 10)), (30, (20, 10)), (15, (10, 5)), (2, (1, 1))],
)
def test_a_split_is_disjoint_and_keeps_its_proportion(number, expected):
    split = d.random_split(number, train=20, test=10, key=jax.random.key(0))
    assert (len(split.train), len(split.test)) == expected
    both = np.concatenate(split)
    assert len(np.unique(both)) == len(both)
    assert both.max() < number


@pytest.mark.parametrize(
    ("number", "train", "test"), [(1, 20, 10), (0, 20, 10), (9, 0, 5), (9, 5, 0)]
)
def test_a_split_of_which_a_part_is_empty_is_refused(number, train, test):
    message = f"random_split: .* one example each .* got {train} and {test} of {number}"
    with pytest.raises(ValueError, match=message):
        d.random_split(number, train=train, test=test, key=jax.random.key(0))


@pytest.mark.parametrize("larger", [(1, 1000), (1000, 1)])
def test_the_smaller_part_of_a_split_keeps_an_example(larger):
    train, test = larger
    split = d.random_split(3, train=train, test=test, key=jax.random.key(0))
    assert sorted((len(split.train), len(split.test))) == [1, 2]


# Unwrapped, because the shape checks of the test run would speak first.
labelled = inspect.unwrap(d.labelled)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([[0, 1], [-1, 0]], "labelled: classes must count from 0, got -1"),
        ([[0, 3], [1, 3]], "labelled: factor 1 has one value in all examples"),
        ([0, 1, 2], r"labelled: .* \[example factor\] .* got shape \(3,\); one factor"),
        (np.zeros((0, 2), int), r"labelled: .* not empty, got shape \(0, 2\)"),
        (np.zeros((3, 0), int), r"labelled: .* not empty, got shape \(3, 0\)"),
        ([[0], [0.5], [1]], r"labelled: .* whole numbers, got 0.5; .* np.unique"),
        ([[0], [np.nan], [1]], "labelled: .* whole numbers, got nan"),
        ([[0], [np.inf], [1]], "labelled: .* whole numbers, got inf"),
        ([["red"], ["blue"]], "labelled: .* whole numbers, got <U4"),
    ],
)
def test_labels_that_are_no_classes_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        labelled(np.array(classes))


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.int64])
def test_whole_numbers_of_any_type_are_classes(dtype):
    classes = np.array([[0, 2], [1, 0]], dtype)
    found = d.labelled(classes)
    assert found.sizes == (2, 2)
    np.testing.assert_array_equal(found.all_classes, [[0, 1], [1, 0]])


def test_a_factor_has_as_many_values_as_occur():
    found = d.labelled(np.array([[1990], [2010], [2000], [2010]]))
    assert found.sizes == (3,)
    np.testing.assert_array_equal(found.all_classes[:, 0], [0, 2, 1, 2])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((1, 3), "factor 0 has 1; leave it out"),
        ((3, 0), "factor 1 has 0; leave it out"),
        ((), "at least one factor"),
    ],
)
def test_a_grid_without_a_choice_is_refused(sizes, message):
    with pytest.raises(ValueError, match=f"^FullGrid: .*{message}"):
        d.FullGrid(sizes)


def test_examples_in_which_a_factor_does_not_vary_are_not_taken():
    grid = d.FullGrid((2, 3))
    assert d.take(grid, jnp.array([0, 4])).sizes == (2, 3)
    with pytest.raises(ValueError, match=r"take: .* factor 0 has one value in all 3;"):
        d.take(grid, jnp.arange(3))
