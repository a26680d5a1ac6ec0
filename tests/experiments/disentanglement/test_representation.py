import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.disentanglement.representation import (
    Evaluation,
    brief_figures,
    represent,
)
from vae_jax import losses, models
from vae_jax.factor_images import procedural_dsprites
from vae_jax.metrics.disentanglement import STANDARD


@pytest.fixture(scope="module")
def data():
    return procedural_dsprites((1, 5, 10, 8, 8))  # 3 x 2 x 4 x 4 x 4


@pytest.fixture(scope="module")
def network():
    model = models.mlp_vae(image_shape=(64, 64, 1), hidden=(8,), latents=3)
    return model, models.init(model, key=jax.random.key(0))["params"]


@pytest.fixture(scope="module")
def found(network, data):
    return represent(*network, data)


def test_codes_are_in_the_order_of_the_grid(found, network, data):
    """More images than one batch, and no whole number of batches."""
    model, params = network
    assert data.grid.size == 384
    posterior = model.apply(
        {"params": params}, data.images(jnp.arange(384)), method="encode"
    )
    np.testing.assert_allclose(found.mean, posterior.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.logvar, posterior.logvar, rtol=1e-5, atol=1e-6)


def test_the_distortion_is_that_of_a_sample_of_the_posterior(network, data):
    """With next to no noise it is that of the posterior mean."""
    model, params = network
    quiet = jax.tree.map(jnp.copy, params)
    quiet["encoder"]["heads"]["logvar"] = {
        "kernel": jnp.zeros((8, 3)),
        "bias": jnp.full(3, -40.0),
    }
    found = represent(model, quiet, data)
    images = data.images(jnp.arange(data.grid.size))
    decoded = model.apply({"params": quiet}, jnp.asarray(found.mean), method="decode")
    expected = -losses.bernoulli_log_likelihood(images, decoded)
    np.testing.assert_allclose(found.distortion, expected, rtol=1e-4)
    np.testing.assert_allclose(found.logvar, -40.0)


def test_the_figures_are_means_over_the_grid(found, data):
    figures = brief_figures(found, Evaluation(data, STANDARD, False, 0.5))
    assert figures["distortion"] == pytest.approx(found.distortion.mean(), rel=1e-5)
    assert figures["rate"] == pytest.approx(found.kl.sum(1).mean(), rel=1e-5)
    expected = figures["distortion"] + figures["rate"]
    assert figures["negative_elbo"] == pytest.approx(expected)
    np.testing.assert_allclose(figures["kl"], found.kl.mean(0), rtol=1e-5)
    active = (found.mean.var(0, ddof=1) > 0.01).sum()
    assert figures["active_units"] == active
    assert 0 <= figures["factor_vae"] <= 1
