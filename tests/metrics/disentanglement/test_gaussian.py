import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from vae_jax.metrics import disentanglement as d

CORRELATED = jnp.array([[1.0, 0.9], [0.9, 1.0]])


def test_total_correlation_of_matrices():
    assert d.total_correlation_of(3 * jnp.eye(4)) == pytest.approx(0, abs=1e-6)
    nats = -0.5 * math.log(1 - 0.81)
    assert nats == pytest.approx(0.8304, abs=1e-4)
    assert d.total_correlation_of(CORRELATED) == pytest.approx(nats, rel=1e-5)
    scale = jnp.array([2.0, 0.1])
    scaled = CORRELATED * scale[:, None] * scale[None]
    assert d.total_correlation_of(scaled) == pytest.approx(nats, rel=1e-5)


def test_total_correlation_of_codes_is_that_of_their_covariance():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + 5
    covariance = np.cov(codes.T)
    expected = np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1]
    found = d.gaussian_total_correlation(codes)
    assert found == pytest.approx(expected / 2, rel=1e-3)
    dead = np.concatenate([codes, np.full((500, 1), 0.3)], 1)
    assert d.gaussian_total_correlation(dead) == pytest.approx(expected / 2, rel=1e-3)


def test_a_latent_that_is_there_twice_has_a_huge_total_correlation():
    codes = np.random.default_rng(0).normal(size=(500, 1))
    assert d.gaussian_total_correlation(np.tile(codes, 2)) > 7


def test_wasserstein_distance_of_codes_is_that_of_the_matrix_square_root():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    covariance = np.cov(codes.T)
    root = sqrtm(covariance @ np.diag(np.diag(covariance)))
    expected = 2 * np.trace(covariance) - 2 * np.trace(root).real
    assert d.gaussian_wasserstein(codes) == pytest.approx(expected, rel=1e-3)


def test_wasserstein_distance_is_not_below_zero_by_rounding():
    variances = np.exp(np.random.default_rng(0).normal(size=(40, 5)))
    for variance in variances:
        distance = d.wasserstein_of(jnp.diag(jnp.asarray(variance, jnp.float32)))
        assert 0 <= distance < 1e-4


def test_wasserstein_distance_by_hand():
    # Eigenvalues 1.9 and 0.1: 4 - 2 (sqrt(1.9) + sqrt(0.1)).
    expected = 4 - 2 * (math.sqrt(1.9) + math.sqrt(0.1))
    assert d.wasserstein_of(CORRELATED) == pytest.approx(expected, abs=1e-5)
    assert d.wasserstein_of(jnp.diag(jnp.array([2.0, 0.0, 5.0]))) == pytest.approx(
        0, abs=1e-5
    )


def wasserstein_in_float64(codes):
    covariance = np.cov(codes.astype(np.float64).T)
    root = sqrtm(covariance @ np.diag(np.diag(covariance)))
    return 2 * np.trace(covariance) - 2 * np.trace(root).real


@pytest.mark.parametrize("stds", [[1.0] * 5 + [0.01] * 5, [0.01] * 5, [1.0, 1e-3]])
def test_latents_that_collapsed_keep_the_digits_of_the_wasserstein_distance(stds):
    codes = (np.random.default_rng(0).normal(size=(5000, len(stds))) * stds).astype("f")
    found = d.gaussian_wasserstein(codes)
    assert found == pytest.approx(wasserstein_in_float64(codes), rel=1e-4)


def test_codes_far_from_zero_are_as_dependent_as_near():
    rng = np.random.default_rng(0)
    codes = (rng.normal(size=(5000, 4)) + 1e5).astype(np.float32)
    covariance = np.cov(codes.astype(np.float64).T)
    expected = np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1]
    assert d.gaussian_wasserstein(codes) == pytest.approx(
        wasserstein_in_float64(codes), rel=1e-3
    )
    assert d.gaussian_total_correlation(codes) == pytest.approx(expected / 2, rel=1e-2)
