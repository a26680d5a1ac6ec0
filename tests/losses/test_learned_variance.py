import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from vae_jax import losses

SHAPE = (3, 4, 5, 2)


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


IMAGES, MEAN, RAW = (draw(seed, *SHAPE) for seed in range(3))
likelihood = losses.learned_variance_log_likelihood


@pytest.mark.parametrize("least", [0.0, 0.3])
def test_equals_scipys_density(least):
    deviation = np.sqrt(least**2 + np.exp(np.float64(RAW)))
    expected = norm.logpdf(IMAGES, MEAN, deviation).sum((1, 2, 3))
    found = likelihood(IMAGES, jnp.concatenate([MEAN, RAW], -1), least_deviation=least)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_pixel_that_is_hit_exactly_has_a_bounded_density():
    least, pixels = 0.05, 40
    parameters = jnp.concatenate([IMAGES, jnp.full(SHAPE, -100.0)], -1)
    found = likelihood(IMAGES, parameters, least_deviation=least)
    np.testing.assert_allclose(found, pixels * norm.logpdf(0, 0, least), rtol=1e-6)


def test_the_likeliest_variance_is_the_squared_error():
    errors = jnp.square(IMAGES - MEAN)
    parameters = jnp.concatenate([MEAN, jnp.log(errors)], -1)
    gradient = jax.grad(lambda p: likelihood(IMAGES, p, least_deviation=0.0).sum())
    np.testing.assert_allclose(gradient(parameters)[..., 2:], 0, atol=1e-5)


def test_its_mean_over_a_batch_copied_is_the_same():
    parameters = jnp.concatenate([MEAN, RAW], -1)
    once = likelihood(IMAGES, parameters, least_deviation=0.1).mean()
    twice = likelihood(
        jnp.tile(IMAGES, (2, 1, 1, 1)),
        jnp.tile(parameters, (2, 1, 1, 1)),
        least_deviation=0.1,
    )
    np.testing.assert_allclose(twice.mean(), once, rtol=1e-6)


def test_means_alone_are_refused_with_advice():
    with pytest.raises(
        ValueError, match=r"mean and a log-var.*got .*; wrap .*PixelVariance"
    ):
        inspect.unwrap(likelihood)(IMAGES, MEAN, least_deviation=0.1)


def test_8_bits_and_negative_deviations_are_refused():
    parameters = jnp.zeros((1, 2, 2, 2))
    bits = jnp.zeros((1, 2, 2, 1), jnp.uint8)
    with pytest.raises(ValueError, match="floating-point, got uint8"):
        inspect.unwrap(likelihood)(bits, parameters, least_deviation=0.1)
    with pytest.raises(ValueError, match="must be at least 0, got -1"):
        likelihood(bits.astype(jnp.float32), parameters, least_deviation=-1.0)


def test_the_best_variance_is_the_mean_squared_error_of_the_batch():
    error = np.square(np.float64(IMAGES) - np.float64(MEAN)).mean()
    expected = norm.logpdf(IMAGES, MEAN, np.sqrt(error)).sum((1, 2, 3))
    found = losses.best_variance_log_likelihood(IMAGES, MEAN)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    known = -40 / 2 * (np.log(2 * np.pi * error) + 1)
    np.testing.assert_allclose(found.mean(), known, rtol=1e-5)


def test_no_other_shared_variance_is_likelier_and_a_batch_copied_has_the_same():
    best = losses.best_variance_log_likelihood(IMAGES, MEAN).mean()
    error = float(jnp.square(IMAGES - MEAN).mean())
    for factor in (0.9, 1.1):
        logvar = float(np.log(factor * error))
        other = losses.gaussian_log_likelihood(IMAGES, MEAN, logvar=logvar)
        assert other.mean() < best
    twice = (jnp.tile(x, (2, 1, 1, 1)) for x in (IMAGES, MEAN))
    copied = losses.best_variance_log_likelihood(*twice).mean()
    np.testing.assert_allclose(copied, best, rtol=1e-6)
