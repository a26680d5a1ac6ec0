"""With 64 bits enabled all works, in the precision of what it is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import distributions, losses, models
from vae_jax.metrics import disentanglement as d

FACTORS = d.FullGrid((3, 4, 5))
SPLIT = d.Split(jnp.arange(0, 60, 2), jnp.arange(1, 60, 2))
METRICS = {
    "dci_logistic": lambda codes: d.dci_logistic(codes, FACTORS, SPLIT),
    "explicitness": lambda codes: d.explicitness(codes, FACTORS, SPLIT),
    "sap": lambda codes: d.sap(codes, FACTORS, SPLIT),
    "mig_binned": lambda codes: d.mig_binned(codes, FACTORS),
    "irs": lambda codes: d.irs(codes, FACTORS),
    "gaussian_wasserstein": d.gaussian_wasserstein,
    "udr": lambda codes: d.udr(np.stack([codes, codes[:, ::-1]]), similarity="lasso"),
}


def noisy_classes():
    classes = np.stack(np.unravel_index(np.arange(60), (3, 4, 5)), 1)
    return classes + 0.1 * np.random.default_rng(0).normal(size=classes.shape)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_that_of_32_bits(name):
    codes = noisy_classes()
    narrow = METRICS[name](codes)
    with jax.enable_x64(True):
        wide = METRICS[name](codes)
    # Convex fits stop within 1e-4 of each other.
    for found, expected in zip(
        jax.tree.leaves(wide), jax.tree.leaves(narrow), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_suite_is_scored():
    few = d.Protocol(votes=50, evaluation_votes=20, group=8, train=40, test=20)
    with jax.enable_x64(True):
        found = d.suite(
            noisy_classes(),
            FACTORS,
            key=jax.random.key(0),
            logvar=np.full((60, 3), -4.0),
            protocol=few,
        )
    assert np.isfinite(list(found.scores.values())).all()
    # Each latent is a factor.
    assert found.scores["factor_vae"] > 0.9
    assert found.scores["beta_vae"] > 0.9


NETWORKS = [
    models.mnist_vae(width=2, latents=2),
    models.small_vae(image_size=64, width=2, latents=2),
    models.resnet18_vae(image_size=64, latents=2, norm="group"),
    models.mlp_vae(hidden=(3,), latents=2),
    models.locatello_vae(latents=2),
    models.repro2021_ped1_vae(latents=2),
]


@pytest.mark.parametrize("model", NETWORKS, ids=lambda m: type(m.encoder).__name__)
def test_parameters_are_float32_throughout(model):
    with jax.enable_x64(True):
        variables = jax.eval_shape(
            lambda key: models.init(model, key=key), jax.random.key(0)
        )
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_python_numbers_are_not_rounded_and_widen_nothing(dtype):
    with jax.enable_x64(True):
        x = jnp.asarray(0.3, dtype)
        found = distributions.normal_log_prob(x, 0.1, -1.3)
        bound = losses.negative_elbo(x[None], x[None, None], beta=0.1, free_bits=0.7)
    expected = -0.5 * (
        np.log(2 * np.pi) - 1.3 + (np.float64(x) - 0.1) ** 2 * np.exp(1.3)
    )
    assert found.dtype == bound.loss.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=10 * jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        bound.loss, [0.1 * 0.7 - np.float64(x)], rtol=10 * jnp.finfo(dtype).eps
    )
