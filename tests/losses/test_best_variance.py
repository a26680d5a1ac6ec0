import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from vae_jax import losses

SHAPE = (3, 4, 5, 2)
IMAGES, MEAN = (
    jnp.asarray(np.random.default_rng(seed).normal(size=SHAPE), jnp.float32)
    for seed in range(2)
)


def test_the_best_variance_is_the_mean_squared_error_of_the_batch():
    error = np.square(np.float64(IMAGES) - np.float64(MEAN)).mean()
    expected = norm.logpdf(IMAGES, MEAN, np.sqrt(error)).sum((1, 2, 3))
    found = losses.best_variance_log_likelihood(IMAGES, MEAN)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    known = -4 * 5 * 2 / 2 * (np.log(2 * np.pi * error) + 1)
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
