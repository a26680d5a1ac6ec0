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
    np.testing.assert_allclose(found, [2 * 2 / 10])


def test_overlap_of_two_zero_maps_is_zero_and_has_no_gradient():
    zeros = jnp.zeros((2, 3, 3))
    value, pull_back = jax.vjp(losses.attention_disentanglement, zeros, zeros)
    np.testing.assert_array_equal(value, 0)
    for gradient in pull_back(jnp.ones(2)):
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
