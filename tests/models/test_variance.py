import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import models
from vae_jax.models.conv import ConvDecoder
from vae_jax.models.variance import means

SHAPE = (4, 6, 3)
LATENTS = jax.random.normal(jax.random.key(0), (5, 2))


def test_one_log_variance_is_behind_every_mean_and_begins_at_0():
    decoder = models.SharedVariance(models.MLPDecoder((7,), SHAPE))
    variables = decoder.init(jax.random.key(1), LATENTS)
    inner = {"params": variables["params"]["decoder"]}
    plain = decoder.decoder.apply(inner, LATENTS)
    found = decoder.apply(variables, LATENTS)
    assert found.shape == (5, 4, 6, 6)
    np.testing.assert_array_equal(means(found), plain)
    np.testing.assert_array_equal(found[..., 3:], 0)
    moved = variables["params"] | {"logvar": jnp.asarray(-2.5)}
    found = decoder.apply({"params": moved}, LATENTS)
    np.testing.assert_array_equal(found[..., 3:], -2.5)


def test_each_pixel_has_a_log_variance_of_its_own():
    decoder = models.PixelVariance(models.MLPDecoder((7,), (4, 6, 6)))
    assert decoder.image_shape == SHAPE
    variables = decoder.init(jax.random.key(1), LATENTS)
    found = decoder.apply(variables, LATENTS)
    assert found.shape == (5, 4, 6, 6)
    assert len(np.unique(found[..., 3:])) > 100
    assert means(found).shape == (5, *SHAPE)


def test_an_odd_number_of_channels_is_refused():
    decoder = models.PixelVariance(models.MLPDecoder((7,), (4, 6, 3)))
    with pytest.raises(ValueError, match="two channels for each of the images', got 3"):
        _ = decoder.image_shape


@pytest.mark.parametrize("wrapper", [models.SharedVariance, models.PixelVariance])
def test_a_vae_takes_them_and_tells_the_decoder_when_it_is_trained(wrapper):
    channels = 2 if wrapper is models.PixelVariance else 1
    inner = ConvDecoder((4, 4), 6, (8, 8, channels), norm="batch")
    vae = models.VAE(models.MLPEncoder((), 2), wrapper(inner))
    images = jnp.ones((3, 8, 8, 1))
    variables = models.init(vae, key=jax.random.key(0))
    output, state = vae.apply(
        variables,
        images,
        noise=jnp.zeros((3, 2)),
        train=True,
        mutable=["batch_stats"],
    )
    assert output.decoded.shape == (3, 8, 8, 2)
    before, after = jax.tree.leaves(variables["batch_stats"]), jax.tree.leaves(state)
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
