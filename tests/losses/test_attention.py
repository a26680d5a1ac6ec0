import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax import losses

MAPS = jax.random.uniform(jax.random.key(0), (3, 4, 5))


def test_a_map_overlaps_wholly_with_itself():
    np.testing.assert_allclose(
        losses.attention_disentanglement(MAPS, MAPS), 1, rtol=1e-6
    )


def test_disjoint_maps_do_not_overlap():
    left = MAPS.at[:, :, 2:].set(0)
    right = MAPS.at[:, :, :2].set(0)
    np.testing.assert_array_equal(losses.attention_disentanglement(left, right), 0)


@settings(max_examples=20, deadline=None)
@given(c=st.floats(0.01, 100))
def test_a_scaled_map_overlaps_by_the_smaller_scale(c):
    overlap = losses.attention_disentanglement(MAPS, jnp.float32(c) * MAPS)
    np.testing.assert_allclose(overlap, 2 * min(1, c) / (1 + c), rtol=1e-5)


def test_overlap_by_hand():
    first = jnp.array([[[1.0, 2.0], [0.0, 1.0]]])
    second = jnp.array([[[3.0, 1.0], [2.0, 0.0]]])
    # Shared 1 + 1 + 0 + 0, in all 4 + 6.
    found = losses.attention_disentanglement(first, second)
    np.testing.assert_allclose(found, [2 * 2 / 10], rtol=1e-6)


def test_overlap_of_two_zero_maps_is_zero_and_has_no_gradient():
    zeros = jnp.zeros((2, 3, 3))
    value, pull_back = jax.vjp(losses.attention_disentanglement, zeros, zeros)
    np.testing.assert_array_equal(value, 0)
    for gradient in pull_back(jnp.ones(2)):
        np.testing.assert_array_equal(gradient, 0)


def pairs_at(scale):
    """Pairs of every kind, of which only the overlap of the last two is not 0 or 1."""
    first, second = scale * MAPS[0], scale * MAPS[1]
    left, zeros = first.at[:, 2:].set(0), jnp.zeros_like(first)
    pixel = zeros.at[0, 0].set(scale)
    return [
        (pixel, zeros.at[1, 1].set(scale)),
        (pixel, zeros),
        (left, first - left),
        (first, first),
        (first, second),
        (first, MAPS[1]),
    ]


@pytest.mark.parametrize(
    "scale",
    [0, 1e-45, 1e-40, 2e-38, 1e-30, 1e-25, 5e-20, 1e-19, 1e-13, 1e-6, 1, 1e19, 1e30],
)
def test_derivatives_are_finite_at_every_scale(scale):
    first, second = map(jnp.stack, zip(*pairs_at(scale), strict=True))
    for derivatives in derivatives_of_pairs(first, second):
        for values in jax.tree.leaves(derivatives):
            assert jnp.isfinite(values).all()


@jax.jit
@jax.vmap
def derivatives_of_pairs(first, second):
    overlap = losses.attention_disentanglement
    slope = jax.grad(overlap, argnums=(0, 1))
    curvature = jax.jacrev(slope, argnums=(0, 1))
    return overlap(first, second), slope(first, second), curvature(first, second)


@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e-12, 1e-6, 1e6, 1e19, 1e30])
def test_the_overlap_has_no_scale(scale):
    expected = losses.attention_disentanglement(MAPS[0], MAPS[1])
    found = losses.attention_disentanglement(scale * MAPS[0], scale * MAPS[1])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-11, 1e-6, 1e-3, 1, 1e3, 1e15])
def test_the_gradient_is_that_of_the_ratio(scale):
    first, second = np.float64(MAPS[:2])
    shared, total = np.minimum(first, second).sum(), (first + second).sum()
    # No two pixels are equal, so each minimum is one of the two.
    expected = [
        2 * (is_less * total - shared) / total**2 / scale
        for is_less in (first < second, second < first)
    ]
    found = jax.grad(losses.attention_disentanglement, argnums=(0, 1))(
        scale * MAPS[0], scale * MAPS[1]
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_curvature_is_that_of_the_ratio():
    # The second map is one pixel under the first map's: the overlap is 2 0.5 / total.
    first = MAPS[0].at[0, 0].set(2.0)
    second = jnp.zeros_like(first).at[0, 0].set(0.5)
    direction = jnp.ones_like(first)

    def along(step):
        return losses.attention_disentanglement(first + step * direction, second)

    total, rise = float((first + second).sum()), direction.size
    expected = 2 * rise**2 / total**3
    np.testing.assert_allclose(jax.grad(jax.grad(along))(0.0), expected, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-25, 1e-13])
def test_faint_maps_teach_nothing(scale):
    def mean_overlap(first, second):
        return losses.attention_disentanglement(first, second).mean()

    gradient = jax.grad(mean_overlap)(scale * MAPS, scale * MAPS[::-1])
    np.testing.assert_array_equal(gradient, 0)


def test_an_image_counts_by_itself_whatever_the_scale_of_the_others():
    other = MAPS[::-1]
    alone = [
        losses.attention_disentanglement(MAPS[i], other[i]) for i in range(len(MAPS))
    ]
    scales = jnp.array([1.0, 1000.0, 0.001]).reshape(3, 1, 1)
    together = losses.attention_disentanglement(scales * MAPS, scales * other)
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_shapes_must_agree():
    # Unwrapped, because the shape checks of the test run would speak first.
    overlap = inspect.unwrap(losses.attention_disentanglement)
    with pytest.raises(ValueError, match="attention_disentanglement: map_a and map_b"):
        overlap(MAPS, MAPS[:2])
