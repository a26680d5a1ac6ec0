import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import losses, models, objectives

IMAGES = jax.random.uniform(jax.random.key(0), (4, 12, 12, 1))
MODEL = models.mlp_vae(image_shape=(12, 12, 1), hidden=(8,), latents=2)


LIKELIHOOD = objectives.with_distance(
    losses.bernoulli_log_likelihood,
    losses.ssim_loss,
    weight=30.0,
    as_images=jax.nn.sigmoid,
)


def test_a_distance_counts_by_its_weight_between_images_and_probabilities():
    decoded = jax.random.normal(jax.random.key(1), IMAGES.shape)
    apart = losses.ssim_loss(IMAGES, 1 / (1 + jnp.exp(-decoded)))
    expected = losses.bernoulli_log_likelihood(IMAGES, decoded) - 30 * apart
    np.testing.assert_allclose(LIKELIHOOD(IMAGES, decoded), expected, rtol=1e-5)


def test_a_vae_minimises_it_with_the_rate_whatever_the_batch():
    loss_fn = jax.jit(objectives.make_elbo_loss_fn(MODEL, LIKELIHOOD))
    params = models.init(MODEL, key=jax.random.key(2))["params"]
    # Without noise, which no two images of a batch have in common.
    params["encoder"]["heads"]["logvar"]["bias"] -= 100.0
    given = {"key": jax.random.key(3), "step": jnp.zeros((), jnp.int32)}
    loss, aux = loss_fn(params, {}, {"image": IMAGES}, **given)
    parts = aux.metrics
    np.testing.assert_allclose(loss, parts["distortion"] + parts["rate"], rtol=1e-6)
    copied = {"image": jnp.concatenate([IMAGES, IMAGES])}
    np.testing.assert_allclose(loss_fn(params, {}, copied, **given)[0], loss, rtol=1e-6)
