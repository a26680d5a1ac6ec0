import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import distance

from vae_jax.metrics.latent_space import continuity, coverage, prior_mismatch

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


# Coverage


def test_coverage_is_a_loop_over_neighbours():
    images, generated = np.float64(normal(40, 3)), np.float64(normal(25, 3) + 0.7)
    expected = 0
    for i, image in enumerate(images):
        others = np.sort(distance.cdist([image], np.delete(images, i, 0))[0])
        expected += distance.cdist([image], generated).min() <= others[2]
    found = jax.jit(coverage, static_argnames="neighbours")(
        jnp.asarray(images, jnp.float32),
        jnp.asarray(generated, jnp.float32),
        neighbours=3,
    )
    assert found == pytest.approx(expected / 40)


def test_the_images_themselves_cover_all_and_one_far_off_nothing():
    images = normal(30, 4)
    assert coverage(images, images) == 1
    assert coverage(images, jnp.full((30, 4), 100.0)) == 0


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_draws_from_the_same_law_cover_as_published(neighbours):
    """Naeem et al. 2020, lemma 2: 1 - [(n-1)...(n-k)] / [(2n-1)...(2n-k)]."""
    n = 400
    missed = math.prod((n - i) / (2 * n - i) for i in range(1, neighbours + 1))
    draws = [
        float(coverage(normal(n, 2), normal(n, 2), neighbours=neighbours))
        for _ in range(10)
    ]
    error = np.std(draws, ddof=1) / math.sqrt(10)
    assert np.mean(draws) == pytest.approx(1 - missed, abs=4 * error)


def test_coverage_wants_more_images_than_neighbours():
    with pytest.raises(ValueError, match="got 5 images and 5"):
        coverage(normal(5, 2), normal(9, 2))


# Continuity


def test_a_linear_decoder_is_even_and_a_switch_is_not():
    steps = jnp.linspace(0, 1, 11)
    line = steps[:, None] * jnp.array([[3.0, -1.0]])
    switch = jnp.where(steps > 0.42, 1.0, 0.0)[:, None] * jnp.ones((1, 2))
    still = jnp.ones((11, 2))
    assert continuity(line[None]) == pytest.approx(1, rel=1e-5)
    assert continuity(switch[None]) == pytest.approx(1 / 10)
    assert continuity(still[None]) == 1
    together = continuity(jnp.stack([line, switch, still]))
    assert together == pytest.approx((1 + 0.1 + 1) / 3, rel=1e-5)


def test_continuity_has_no_unit():
    paths = normal(4, 6, 9)
    np.testing.assert_allclose(continuity(7 * paths), continuity(paths), rtol=1e-5)


def test_one_step_is_nothing_to_compare():
    with pytest.raises(ValueError, match="at least 3 points of a path, got 2"):
        continuity(normal(4, 2, 9))


# The prior


def test_the_mismatch_is_zero_where_posteriors_mix_to_the_prior():
    """Means at +-a and variances of 1 - a² have the moments of the prior."""
    mean = jnp.array([[0.6, 0.8], [-0.6, -0.8], [0.6, -0.8], [-0.6, 0.8]])
    logvar = jnp.log(1 - mean**2)
    np.testing.assert_allclose(prior_mismatch(mean, logvar), 0, atol=1e-6)


def test_the_mismatch_of_one_posterior_is_its_kl():
    mean, logvar = jnp.array([[1.5, -0.5]]), jnp.array([[-1.0, 0.3]])
    kl = 0.5 * (mean**2 + jnp.exp(logvar) - 1 - logvar).sum()
    np.testing.assert_allclose(prior_mismatch(mean, logvar), kl, rtol=1e-5)


def test_correlated_codes_are_as_far_off_as_their_determinant_says():
    """Of codes of unit variance and correlation r it is -log(1 - r²) / 2."""
    codes = np.array([[1.0, 1], [-1, -1], [1, -1], [-1, 1]])
    weights = np.array([3, 3, 1, 1])  # correlation 1/2
    codes = jnp.asarray(np.repeat(codes, weights, axis=0), jnp.float32)
    found = prior_mismatch(codes, jnp.full_like(codes, -jnp.inf))
    np.testing.assert_allclose(found, -0.5 * math.log(0.75), rtol=1e-5)


def test_it_is_below_the_divergence_of_the_mixture():
    mean = np.array([-2.0, 2.0])
    logvar = np.log([0.25, 0.25])
    z = np.linspace(-12, 12, 20001)

    def density(centre, variance):
        return np.exp(-((z - centre) ** 2) / 2 / variance) / np.sqrt(
            2 * np.pi * variance
        )

    mixture = (density(-2, 0.25) + density(2, 0.25)) / 2
    log_ratio = np.log(np.maximum(mixture, 1e-300)) - np.log(density(0, 1))
    exact = np.trapezoid(mixture * log_ratio, z)
    found = prior_mismatch(
        jnp.asarray(mean[:, None], jnp.float32),
        jnp.asarray(logvar[:, None], jnp.float32),
    )
    assert 0 < float(found) < exact


def test_a_direction_without_codes_is_infinitely_far_off():
    codes = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    assert prior_mismatch(codes, jnp.full_like(codes, -jnp.inf)) == jnp.inf
