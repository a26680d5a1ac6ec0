"""Facts about symmetric filters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from vae_jax.filters import symmetric_filter

SHAPES = [(2, 9, 12), (1, 8, 8, 3), (1, 3, 2, 1)]  # the last is smaller than the filter
WEIGHTS = (0.5, 0.3, -0.2, 0.1, 0.05)


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_scipy_with_reflected_edges(shape):
    images = noise(shape)
    taps = [*reversed(WEIGHTS[1:]), *WEIGHTS]
    expected = images.astype(np.float64)
    for axis in (1, 2):
        expected = scipy.ndimage.correlate1d(expected, taps, axis=axis, mode="reflect")
    filtered = symmetric_filter(jnp.asarray(images), WEIGHTS)
    np.testing.assert_allclose(filtered, expected, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_filter_is_its_own_transpose(shape):
    one, other = (jnp.asarray(noise(shape, seed)) for seed in (1, 2))
    left = jnp.vdot(symmetric_filter(one, WEIGHTS), other)
    right = jnp.vdot(one, symmetric_filter(other, WEIGHTS))
    np.testing.assert_allclose(left, right, rtol=1e-4)


def test_the_gradient_is_that_of_finite_differences():
    images, weigh = (jnp.asarray(noise((1, 4, 5), seed)) for seed in (0, 3))

    def objective(images):
        return (symmetric_filter(images, WEIGHTS) ** 2 * weigh).sum()

    gradient = jax.grad(objective)(images)
    step = 1e-2
    for index in [(0, 0, 0), (0, 2, 3), (0, 3, 4)]:
        moved = np.zeros(images.shape, np.float32)
        moved[index] = step
        difference = objective(images + moved) - objective(images - moved)
        # The objective is a square: the central difference is exact but for rounding.
        np.testing.assert_allclose(gradient[index], difference / 2 / step, rtol=1e-3)


def test_vectorises_and_compiles():
    images = jnp.asarray(noise((3, 2, 6, 7)))
    at_once = jax.jit(jax.vmap(lambda x: symmetric_filter(x, WEIGHTS)))(images)
    one_by_one = [symmetric_filter(x, WEIGHTS) for x in images]
    np.testing.assert_allclose(at_once, np.stack(one_by_one), atol=1e-6)


def test_one_weight_is_a_factor():
    images = noise((1, 4, 4))
    np.testing.assert_allclose(
        symmetric_filter(jnp.asarray(images), (3.0,)), 9 * images, rtol=1e-6
    )
