import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import logsumexp

from vae_jax.metrics import disentanglement as d

GRID = d.FullGrid((2, 3))
PLACES = np.asarray(GRID.classes(jnp.arange(6)), np.float32)


def two_gaussians_nats(distance):
    """Information about which of N(-distance, 1), N(distance, 1) was drawn."""

    def integrand(z):
        p = (stats.norm.pdf(z, -distance) + stats.norm.pdf(z, distance)) / 2
        return -p * np.log(p)

    mixture = integrate.quad(integrand, -distance - 9, distance + 9)[0]
    return mixture - 0.5 * math.log(2 * math.pi * math.e)


@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("std", [1.0, 0.02])
def test_information_about_two_gaussians_is_the_integral(distance, std):
    factors = d.labelled(np.array([[0], [1]] * 8))
    mean = np.stack([distance * std * np.array([-1.0, 1.0] * 8), np.zeros(16)], 1)
    logvar = np.full((16, 2), 2 * math.log(std))
    found = d.mig_density(mean, logvar, factors)
    nats = two_gaussians_nats(distance)
    np.testing.assert_allclose(
        found.mutual_information[:, 0], [nats, 0], rtol=2e-3, atol=1e-5
    )
    assert found.score == pytest.approx(nats / math.log(2), rel=2e-3, abs=1e-5)


def test_information_equals_the_sampling_estimate_of_the_paper():
    """Chen et al. 2018, appendix C: entropies by log-mean-exp of samples, float64."""
    rng = np.random.default_rng(0)
    classes = np.concatenate([[[0, 0], [1, 2]], rng.integers(0, [2, 3], (38, 2))])
    mean = rng.normal(size=(40, 2)) + np.stack([2 * classes[:, 0], classes[:, 1]], 1)
    logvar = rng.uniform(-2, 0, (40, 2))
    found = d.mig_density(mean, logvar, d.labelled(classes))

    def sampled_entropy(members, latent, draws=20_000):
        m, s = mean[members, latent], np.exp(logvar[members, latent] / 2)
        which = rng.integers(0, len(m), draws)
        z = m[which] + s[which] * rng.normal(size=draws)
        log_q = stats.norm.logpdf(z[:, None], m, s)
        return -(logsumexp(log_q, axis=1) - math.log(len(m))).mean()

    for latent in range(2):
        total = sampled_entropy(np.arange(40), latent)
        for k in range(2):
            within = 0.0
            for value in range(classes[:, k].max() + 1):
                members = np.flatnonzero(classes[:, k] == value)
                within += len(members) / 40 * sampled_entropy(members, latent)
            # Standard error of the estimate: about 0.008 nats.
            assert found.mutual_information[latent, k] == pytest.approx(
                total - within, abs=0.03
            )


def test_one_latent_for_each_factor_has_gap_one_and_not_what_mixed_latents_give():
    """Samples that are reshaped where they should be transposed mix the latents."""
    found = d.mig_density(10 * PLACES, np.full((6, 2), -2.0), GRID)
    assert found.score == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(
        found.mutual_information, np.diag(np.log([2.0, 3])), atol=2e-3
    )
    mixed_up = (10 * PLACES).reshape(2, 6).T
    assert d.mig_density(mixed_up, np.full((6, 2), -2.0), GRID).score < 0.7


def partitioned_nats(mean, logvar, classes):
    """In float64, of 2000 intervals for every posterior, where it has its mass."""
    std = np.exp(logvar / 2)
    edges = np.sort((mean[:, None] + std[:, None] * np.linspace(-9, 9, 2000)).ravel())
    below = stats.norm.cdf(edges[None], mean[:, None], std[:, None])
    mass = np.diff(below, axis=1, prepend=0, append=1)
    within = [
        (classes == value).mean() * stats.entropy(mass[classes == value].mean(0))
        for value in np.unique(classes)
    ]
    return stats.entropy(mass.mean(0)) - sum(within)


@pytest.mark.parametrize("wide", [0.0, 6.0, 40.0])
def test_one_wide_posterior_takes_no_edges_from_the_others(wide):
    grid = d.FullGrid((3, 4))
    classes = np.asarray(grid.classes(jnp.arange(12)))
    mean, logvar = 10.0 * classes, np.full((12, 2), -2.0)
    logvar[5] = wide
    found = d.mig_density(mean, logvar, grid)
    for k in range(2):
        expected = partitioned_nats(mean[:, k], logvar[:, k], classes[:, k])
        assert found.mutual_information[k, k] == pytest.approx(expected, rel=1e-3)


def test_a_mean_far_from_all_others_takes_no_edges_from_them():
    grid = d.FullGrid((3, 4))
    classes = np.asarray(grid.classes(jnp.arange(12)))
    mean = 10.0 * classes
    mean[5] = 1e6
    found = d.mig_density(mean, np.full((12, 2), -2.0), grid)
    nats = np.diag(found.mutual_information)
    np.testing.assert_allclose(nats, np.log([3.0, 4]), rtol=0.05)


def test_posteriors_wider_or_narrower_than_float32_have_information(rounding):
    means = 10 * PLACES
    # Two entropies, each of 256 intervals.
    error = rounding(2 * math.log(256), 256 + 10)
    wide = d.mig_density(means, np.full((6, 2), 200.0), GRID)
    np.testing.assert_allclose(wide.mutual_information, np.zeros((2, 2)), atol=error)
    narrow = d.mig_density(means, np.full((6, 2), -200.0), GRID)
    expected = np.diag(np.log([2.0, 3]))
    np.testing.assert_allclose(narrow.mutual_information, expected, atol=error)


def test_edges_of_many_examples_are_those_of_a_part_of_them():
    """9000 examples of 90 narrow clusters, of which not all are looked at for edges."""
    classes = np.arange(9000)[:, None] % 90
    codes = np.stack([classes[:, 0], np.zeros(9000)], 1)
    found = d.mig_density(codes, np.full((9000, 2), -10.0), d.labelled(classes))
    assert found.mutual_information[0, 0] == pytest.approx(math.log(90), rel=1e-2)


def test_narrow_posteriors_give_the_binned_information():
    codes = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    found = d.mig_density(codes, np.full((6, 2), -20.0), GRID)
    np.testing.assert_allclose(
        found.mutual_information, np.log([[2.0, 3], [2, 3]]), atol=1e-3
    )


def test_examples_that_fill_no_chunk_add_nothing():
    """2049 examples are held as one chunk and one example of the next."""
    rng = np.random.default_rng(0)
    classes = np.arange(2049)[:, None] % 2
    mean = rng.normal(size=(2049, 2)) + classes
    factors = d.labelled(classes)
    order = rng.permutation(2049)
    first = d.mig_density(mean, np.zeros((2049, 2)), factors)
    second = d.mig_density(mean[order], np.zeros((2049, 2)), d.labelled(classes[order]))
    np.testing.assert_allclose(
        first.mutual_information, second.mutual_information, atol=1e-5
    )
    gaussian = d.labelled(np.array([[0], [1]]))
    # Means N(0, 1) and N(1, 1), posteriors of variance 1: two Gaussians sqrt(2) wide.
    exact = d.mig_density(
        np.array([[0.0, 0], [1, 1]]), np.full((2, 2), math.log(2)), gaussian
    )
    np.testing.assert_allclose(
        first.mutual_information, exact.mutual_information, atol=0.02
    )
