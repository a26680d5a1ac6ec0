"""Likelihood regret where both posteriors are known: a linear decoder."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses
from vae_jax.anomaly.regret import likelihood_regret
from vae_jax.latent import linear

LATENTS = 2
MODEL = linear.LinearModel(
    np.linalg.qr(np.random.default_rng(0).normal(size=(5, LATENTS)))[0] * [3.0, 1.5],
    np.arange(5.0),
    0.5,
)
ROWS = np.random.default_rng(1).normal(size=(8, 5)) * 2 + MODEL.mean
BEST = linear.best_encoder(MODEL).encode(ROWS)
# Of these points a mean of squares is that of a normal.
POINTS = np.sqrt(LATENTS) * np.concatenate([np.eye(LATENTS), -np.eye(LATENTS)])
POINTS = jnp.asarray(POINTS, jnp.float32)


def log_likelihood(latents):
    decoded = latents @ jnp.asarray(MODEL.weights.T) + jnp.asarray(MODEL.mean)[None]
    rows = jnp.asarray(ROWS, jnp.float32)
    return losses.gaussian_log_likelihood(rows, decoded, logvar=float(np.log(0.5)))


regret = jax.jit(
    lambda mean, logvar, steps=200: likelihood_regret(
        log_likelihood, mean, logvar, POINTS, steps=steps
    ),
    static_argnames="steps",
)


def as_arrays(mean, logvar):
    return (jnp.asarray(x, jnp.float32) for x in (mean, logvar))


def test_an_encoder_that_is_exact_has_nothing_to_regret():
    np.testing.assert_allclose(regret(*as_arrays(*BEST)), 0, atol=2e-3)


def test_it_is_the_kl_to_the_exact_posterior():
    mean, logvar = BEST[0] + 0.8, BEST[1] - 1.0
    shortfall = linear.log_likelihood(MODEL, ROWS) - linear.elbo(
        MODEL, ROWS, mean=mean, logvar=logvar
    )
    variance = np.exp(BEST[1])
    kl = (0.8**2 / variance + np.exp(-1.0) - 1 + 1.0).sum(1) / 2
    np.testing.assert_allclose(shortfall, kl, rtol=1e-9)
    np.testing.assert_allclose(regret(*as_arrays(mean, logvar)), kl, rtol=2e-3)


def test_it_only_grows_with_the_steps_and_begins_at_0():
    start = [*as_arrays(BEST[0] + 0.8, BEST[1] - 1.0)]
    found = [np.asarray(regret(*start, steps=steps)) for steps in (0, 5, 50, 200)]
    np.testing.assert_array_equal(found[0], 0)
    for fewer, more in itertools.pairwise(found):
        assert (more >= fewer).all()


def test_the_mean_of_a_batch_copied_is_the_same():
    once = regret(*as_arrays(BEST[0] + 0.8, BEST[1])).mean()

    def twice_as_many(latents):
        return jnp.concatenate([log_likelihood(half) for half in jnp.split(latents, 2)])

    start = [jnp.tile(x, (2, 1)) for x in as_arrays(BEST[0] + 0.8, BEST[1])]
    twice = likelihood_regret(twice_as_many, *start, POINTS, steps=200)
    assert float(twice.mean()) == pytest.approx(float(once), rel=1e-5)
