import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.data import dsprites

SPRITE = np.array([0.0, 1.0, 0.0, 1.0], np.float32).reshape(1, 2, 2, 1)


@pytest.mark.parametrize("xp", [np, jnp])
def test_a_tint_is_between_half_and_one(xp):
    uniform = xp.asarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    tinted = dsprites.colour(xp.asarray(SPRITE), uniform)
    assert tinted.shape == (1, 2, 2, 3)
    assert tinted.dtype == np.float32
    np.testing.assert_array_equal(tinted[0, 0, 0], [0, 0, 0])
    np.testing.assert_array_equal(tinted[0, 1, 1], [0.5, 0.75, 1])


@pytest.mark.parametrize("xp", [np, jnp])
def test_noise_fills_the_background_and_never_exceeds_one(xp):
    uniform = np.random.default_rng(0).random((1, 2, 2, 3), np.float32)
    found = dsprites.noisy(xp.asarray(SPRITE), xp.asarray(uniform))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0, :, 0], uniform[0, :, 0])
    np.testing.assert_array_equal(found[0, :, 1], 1)
