import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import losses, models, objectives

IMAGES = jax.random.uniform(jax.random.key(0), (4, 12, 12, 1))
MODEL = models.mlp_vae(image_shape=(12, 12, 1), hidden=(8,), latents=2)


def test_a_distance_counts_by_its_weight_between_images_and_probabilities():
    decoded = jax.random.normal(jax.random.key(1), IMAGES.shape)
    likelihood = objectives.distance_likelihood(losses.ssim_loss, weight=30.0)
    expected = -30 * losses.ssim_loss(IMAGES, 1 / (1 + jnp.exp(-decoded)))
    np.testing.assert_allclose(likelihood(IMAGES, decoded), expected, rtol=1e-5)


def test_a_vae_minimises_it_with_the_rate():
    likelihood = objectives.distance_likelihood(losses.ssim_loss, weight=10.0)
    loss_fn = jax.jit(objectives.make_elbo_loss_fn(MODEL, likelihood))
    params = models.init(MODEL, key=jax.random.key(2))["params"]
    key, step = jax.random.key(3), jnp.zeros((), jnp.int32)
    loss, aux = loss_fn(params, {}, {"image": IMAGES}, key=key, step=step)
    metrics = aux.metrics
    np.testing.assert_allclose(loss, metrics["distortion"] + metrics["rate"], rtol=1e-6)
    assert 0 < metrics["distortion"] < 20
