import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import losses, models

SHAPE = (3, 2, 1)
KEY = jax.random.key(0)
IMAGES = jax.random.uniform(KEY, (4, *SHAPE))
NOISE = jnp.zeros((4, 2))


def run(decoder):
    model = models.VAE(models.MLPEncoder((4,), 2), decoder)
    assert model.image_shape == SHAPE
    variables = models.init(model, key=KEY)
    return variables, model.apply(variables, IMAGES, noise=NOISE).decoded


def test_several_numbers_of_each_pixel_for_images_of_one_channel():
    wide = models.MLPDecoder((4,), (3, 2, 30))
    _, decoded = run(models.PixelParameters(wide, SHAPE))
    assert decoded.shape == (4, 3, 2, 30)
    nats = losses.discretised_logistic_mixture_log_likelihood(IMAGES, decoded)
    assert np.isfinite(nats).all()


def test_one_variance_for_all_is_a_parameter_that_begins_at_one():
    decoder = models.SharedVariance(models.MLPDecoder((4,), SHAPE))
    variables, decoded = run(decoder)
    assert variables["params"]["decoder"]["logvar"].shape == ()
    np.testing.assert_array_equal(decoded[..., 1], 0)
    variables["params"]["decoder"]["logvar"] = jnp.asarray(-1.5)
    model = models.VAE(models.MLPEncoder((4,), 2), decoder)
    decoded = model.apply(variables, IMAGES, noise=NOISE).decoded
    np.testing.assert_array_equal(decoded[..., 1], -1.5)
