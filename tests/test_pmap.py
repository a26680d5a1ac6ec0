"""What a user's own `jax.pmap` makes of the parts: what each device makes alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import attention, losses, models, objectives

DEVICES, BATCH, LATENTS, SIDE = 8, 4, 3, 8

VAE = models.VAE(
    models.ConvEncoder((4, 4), 8, LATENTS),
    models.ConvDecoder((4, 4), 8, (SIDE, SIDE, 1)),
)


@pytest.fixture(scope="module")
def images():
    return jax.random.uniform(jax.random.key(0), (DEVICES, BATCH, SIDE, SIDE, 1))


@pytest.fixture(scope="module")
def variables():
    return models.init(VAE, key=jax.random.key(1))


def every_loss(images, key):
    """Each loss that is one value an example, or one a batch."""
    keys = jax.random.split(key, 4)
    mean, logvar, latents, decoded = (
        jax.random.normal(each, (BATCH, size))
        for each, size in zip(keys, [LATENTS] * 3 + [SIDE**2], strict=True)
    )
    decoded = decoded.reshape(images.shape)
    rate = losses.gaussian_kl(mean, logvar)
    likelihood = losses.bernoulli_log_likelihood(images, decoded)
    logits = latents[:, :2], mean[:, :2]
    return {
        "elbo": losses.negative_elbo(likelihood, rate),
        "gaussian": losses.gaussian_log_likelihood(images, decoded, logvar=-1.0),
        "capacity": losses.capacity_penalty(
            rate, capacity=3.0, constraint_on="batch_mean"
        ),
        "parts": losses.decompose_rate(
            latents, mean, logvar, dataset_size=100, estimator="mss"
        ),
        "ratio": losses.density_ratio(logits[0]),
        "discriminator": losses.discriminator_loss(*logits),
        "permuted": losses.permute_latents(latents, key=keys[0]),
        "dip": losses.dip_ii(mean, logvar, off_diagonal=10.0, diagonal=10.0),
        "mmd": losses.mmd(latents, mean, kernel="gaussian"),
        "overlap": losses.attention_disentanglement(
            images[..., 0], jnp.abs(decoded[..., 0])
        ),
    }


def on_each_alone(function, *arguments):
    """What `function` gives for the part of each device, one after the other."""
    parts = [jax.jit(function)(*(a[i] for a in arguments)) for i in range(DEVICES)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)


def test_losses(images):
    keys = jax.random.split(jax.random.key(2), DEVICES)
    together = jax.pmap(every_loss)(images, keys)
    alone = on_each_alone(every_loss, images, keys)
    chex.assert_trees_all_close(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("objective", "term"),
    [
        (objectives.BetaVAE(), None),
        (objectives.BetaTCVAE(dataset_size=100), None),
        (objectives.FactorVAE(models.Discriminator(layers=1, width=4)), None),
        (
            objectives.FactorVAE(models.Discriminator(layers=1, width=4)),
            objectives.AttentionTerm(tap="relu2"),
        ),
    ],
    ids=["vae", "beta-tcvae", "factor-vae", "ad-factor-vae"],
)
def test_gradients_of_objectives_are_averaged_over_devices(images, objective, term):
    loss_fn = objectives.make_loss_fn(VAE, objective, attention_term=term)
    params = objectives.init_params(VAE, objective, key=jax.random.key(3))
    gradient = jax.grad(loss_fn, has_aux=True)

    def of_a_device(images, key):
        found, aux = gradient(params, {}, {"image": images}, key=key, step=0)
        return found, aux.metrics

    def averaged(images, key):
        return jax.lax.pmean(of_a_device(images, key), "device")

    keys = jax.random.split(jax.random.key(4), DEVICES)
    together = jax.pmap(averaged, axis_name="device")(images, keys)
    alone = on_each_alone(of_a_device, images, keys)
    expected = jax.tree.map(lambda x: x.mean(0), alone)
    for device in (0, DEVICES - 1):
        found = jax.tree.map(lambda x, device=device: x[device], together)
        chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-5)
    chex.assert_tree_all_finite(together)


def test_maps(images, variables):
    def maps_of(images):
        return attention.attention_maps(VAE, variables, images, tap="relu2")

    together = jax.pmap(maps_of)(images)
    assert together.shape == (DEVICES, BATCH, LATENTS, SIDE, SIDE)
    alone = on_each_alone(maps_of, images)
    scale = float(np.abs(alone).max())
    chex.assert_trees_all_close(together, alone, rtol=1e-5, atol=1e-5 * scale)
