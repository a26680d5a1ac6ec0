"""Marks that a pass meets several times: each time a tap of its own."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from vae_jax import attention
from vae_jax.attention import PAPER
from vae_jax.models import tap

IMAGES = jax.random.uniform(jax.random.key(5), (2, 8, 12, 2))


def flipped(images):
    return images[:, :, ::-1]


def difference(model, images, noise):
    """How far the codes of an image and of its mirror image are apart."""
    del noise
    return model.encode(images).mean - model.encode(flipped(images)).mean


def test_each_call_of_an_encoder_is_named_and_counted(tiny_vae):
    model, variables = tiny_vae()
    names = attention.taps(model, variables, (8, 12, 2), score=difference)
    assert {"input", "relu1#1", "relu1#2", "relu2#2", "vector#1"} <= names.keys()
    assert "relu1" not in names
    found = attention.activations(model, variables, IMAGES, score=difference)
    once = attention.activations(model, variables, IMAGES)["relu1"]
    mirrored = attention.activations(model, variables, flipped(IMAGES))["relu1"]
    np.testing.assert_array_equal(found["relu1#1"], once)
    np.testing.assert_array_equal(found["relu1#2"], mirrored)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_difference_has_the_map_of_either_side(tiny_vae, pooled):
    model, variables = tiny_vae()
    rule = PAPER if pooled else attention.Rule(term="pointwise")
    options = {"score": difference, "rule": rule}

    def maps(images, **options):
        return attention.attention_maps(model, variables, images, **options)

    first = maps(IMAGES, tap="relu2#1", **options)
    alone = maps(IMAGES, tap="relu2", rule=rule)
    np.testing.assert_allclose(first, alone, atol=1e-6)
    assert np.abs(alone).max() > 1e-3
    # The other side enters with a minus, so its gradient is that of the negated codes.
    second = attention.tap_gradient(
        model, variables, IMAGES, tap="relu2#2", score=difference
    )
    mirrored = attention.tap_gradient(
        model, variables, flipped(IMAGES), tap="relu2", score=attention.latents
    )
    np.testing.assert_allclose(second.gradient, -mirrored.gradient, atol=1e-6)


def test_the_plain_name_of_a_tap_that_is_met_twice_is_refused(tiny_vae):
    model, variables = tiny_vae()
    wanted = (
        r"^attention: tap 'relu2' is met 2 times on the way to this score, each with a "
        r"map of its own; choose one of relu2#1, relu2#2\."
    )
    with pytest.raises(ValueError, match=wanted):
        attention.attention_maps(
            model, variables, IMAGES, tap="relu2", score=difference
        )


class Loop(nn.Module):
    """Three equal layers, marked by one name in a loop."""

    def setup(self):
        self.layers = [nn.Conv(2, (3, 3)) for _ in range(3)]

    def encode(self, images):
        x = images
        for layer in self.layers:
            x = tap(self, "relu", nn.relu(layer(x)))
        return x.mean((1, 2)), x.max((1, 2))


def test_equal_layers_in_a_loop_have_their_own_activations_and_gradients():
    model = Loop()
    variables = model.init(jax.random.key(0), IMAGES, method="encode")
    params = {"params": variables["params"]}
    x, activations = IMAGES, []
    for k in range(3):
        layer = {"params": variables["params"][f"layers_{k}"]}
        x = nn.relu(nn.Conv(2, (3, 3)).apply(layer, x))
        activations.append(x)
    found = attention.activations(model, params, IMAGES)
    for k, activation in enumerate(activations):
        np.testing.assert_allclose(found[f"relu#{k + 1}"], activation, atol=1e-6)
    last = attention.tap_gradient(
        model, params, IMAGES, tap="relu#3", score=attention.latents
    )
    # Of the mean over 96 pixels of the channel itself.
    np.testing.assert_allclose(last.gradient.max(), 1 / 96, rtol=1e-5)
    first = attention.tap_gradient(
        model, params, IMAGES, tap="relu#1", score=attention.latents
    )
    assert not np.allclose(first.gradient, last.gradient)
