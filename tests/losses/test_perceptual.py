import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses


def layers(seed):
    random = np.random.default_rng(seed)
    shapes = ((3, 5, 4, 2), (3, 2, 2, 7), (3, 6))
    return tuple(jnp.asarray(random.normal(size=s), jnp.float32) for s in shapes)


def test_a_layer_counts_by_its_mean_whatever_its_size():
    ones = [jnp.ones((2, 4, 4, 8)), jnp.ones((2, 3))]
    zeros = [jnp.zeros_like(x) for x in ones]
    np.testing.assert_allclose(losses.perceptual_loss(ones, zeros), 2.0)


def test_equals_numpy_in_double():
    x, y = layers(0), layers(1)
    expected = sum(
        ((np.float64(a) - np.float64(b)) ** 2).reshape(3, -1).mean(1)
        for a, b in zip(x, y, strict=True)
    )
    np.testing.assert_allclose(losses.perceptual_loss(x, y), expected, rtol=1e-6)


def test_the_mean_of_a_batch_copied_is_the_same():
    x, y = layers(0), layers(1)
    twice = [[jnp.concatenate([a, a]) for a in side] for side in (x, y)]
    np.testing.assert_allclose(
        losses.perceptual_loss(*twice).mean(),
        losses.perceptual_loss(x, y).mean(),
        rtol=1e-6,
    )


def test_layers_must_be_the_same():
    x, y = layers(0), layers(1)
    with pytest.raises(ValueError, match=r"^perceptual_loss: .* got 3 and 2"):
        losses.perceptual_loss(x, y[:2])
    with pytest.raises(ValueError, match=r"got 0 and 0"):
        losses.perceptual_loss([], [])
    with pytest.raises(ValueError, match=r"^perceptual_loss: .* equal shapes"):
        inspect.unwrap(losses.perceptual_loss)(x, (y[0][:, 1:], *y[1:]))
