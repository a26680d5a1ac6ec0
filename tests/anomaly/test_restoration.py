"""Facts about restoration by gradient descent on the image."""

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import anomaly

GREY = jnp.full((1, 2, 3, 1), 0.5)


def test_one_step_by_hand():
    """The reconstruction is always grey, so dE/dx = 2 r + sparsity sign(x - x_0)."""
    images = GREY.at[0, 0, 0, 0].set(0.9)
    found = anomaly.restore(
        lambda x: jnp.full_like(x, 0.5), images, step_size=2.0, steps=1
    )
    expected = 0.9 - 2 * (2 * 0.4) * 0.4**2
    np.testing.assert_allclose(found[0, 0, 0, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(found.ravel()[1:], 0.5)


def test_the_second_step_pays_for_the_distance():
    images = GREY.at[0, 0, 0, 0].set(0.9)
    residual = 0.4 - 2 * (2 * 0.4) * 0.4**2
    gradient = 2 * residual - 0.3  # brighter again is nearer to the image
    found = anomaly.restore(
        lambda x: jnp.full_like(x, 0.5), images, step_size=2.0, sparsity=0.3, steps=2
    )
    expected = 0.5 + residual - 2 * gradient * residual**2
    np.testing.assert_allclose(found[0, 0, 0, 0], expected, rtol=1e-6)


def test_what_the_model_draws_is_left_alone():
    images = jax.random.uniform(jax.random.key(0), (2, 4, 4, 3))
    np.testing.assert_array_equal(anomaly.restore(lambda x: x, images), images)


def test_steps_go_towards_the_model_and_stay_in_the_unit_interval():
    images = jnp.zeros((1, 4, 4, 1)).at[0, 1, 1, 0].set(1.0)
    distances = []
    for steps in (0, 1, 5, 20):
        found = anomaly.restore(
            lambda x: jnp.zeros_like(x), images, step_size=0.1, steps=steps
        )
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
        distances.append(float(jnp.abs(found).sum()))
    assert distances[0] > distances[1] > distances[2] > distances[3]


def test_the_gradient_goes_through_the_reconstruction():
    """A network that copies half of the image leaves half of each residual to it."""
    images = jnp.full((1, 1, 1, 1), 0.8)
    found = anomaly.restore(lambda x: x / 2, images, step_size=1.0, steps=1)
    # r = x / 2, d r^2 / dx = r
    np.testing.assert_allclose(found, 0.8 - 0.4 * 0.4**2, rtol=1e-6)
