import inspect
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.metrics.latents import collapse_message, latent_use

RNG = np.random.default_rng(0)
MEAN = RNG.normal([0, 2, 0], [1, 0.5, 0], (50, 3)).astype(np.float32)
LOGVAR = np.tile(np.float32([-2, -1, 0]), (50, 1))


@pytest.fixture(scope="module")
def use():
    return jax.jit(latent_use)(MEAN, LOGVAR)


def test_kl_is_the_closed_form_averaged(use):
    mean, logvar = np.float64(MEAN), np.float64(LOGVAR)
    expected = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).mean(0)
    np.testing.assert_allclose(use.kl, expected, rtol=1e-5, atol=1e-7)
    assert use.kl[2] == 0


def test_shares_are_of_the_rate_and_sum_to_one(use):
    np.testing.assert_allclose(use.share, use.kl / use.kl.sum(), rtol=1e-6)
    np.testing.assert_allclose(use.share.sum(), 1, rtol=1e-6)


def test_activity_is_the_sample_variance_of_the_means(use):
    np.testing.assert_allclose(use.activity, MEAN.var(0, ddof=1), rtol=1e-5)
    np.testing.assert_array_equal(use.is_active, [True, True, False])


def test_a_latent_far_from_the_prior_but_constant_is_not_active():
    use = latent_use(jnp.full((9, 1), 3.0), jnp.zeros((9, 1)))
    np.testing.assert_allclose(use.kl, [4.5])
    assert not use.is_active[0]


@pytest.mark.parametrize(("variance", "is_active"), [(0.0099, False), (0.0101, True)])
def test_active_is_more_than_a_hundredth(variance, is_active):
    # Two examples at ± a have the sample variance 2 a².
    a = math.sqrt(variance / 2)
    means = jnp.array([[a], [-a]])
    assert latent_use(means, jnp.zeros((2, 1))).is_active[0] == is_active
    assert not latent_use(means, jnp.zeros((2, 1)), activity_threshold=1.0).is_active[0]


def test_a_model_that_says_nothing_has_no_shares():
    use = latent_use(jnp.zeros((4, 3)), jnp.zeros((4, 3)))
    np.testing.assert_array_equal(use.share, 0)


def test_runs_side_by_side_are_the_runs_alone(use):
    runs = jax.vmap(latent_use)(np.stack([MEAN, 2 * MEAN]), np.stack([LOGVAR] * 2))
    np.testing.assert_allclose(runs.kl[0], use.kl, rtol=1e-5)
    np.testing.assert_allclose(runs.activity[1], 4 * use.activity, rtol=1e-5)


def test_one_example_has_no_variance():
    # Unwrapped, because the shape checks of the test run would speak first.
    with pytest.raises(ValueError, match=r"latent_use: .* at least two, got 1"):
        inspect.unwrap(latent_use)(MEAN[:1], LOGVAR[:1])


@pytest.mark.parametrize("largest", [0.4, 2.0])
def test_a_kl_that_is_not_a_number_is_a_collapse(largest):
    message = collapse_message(jnp.array([jnp.nan, largest]), threshold_nats=0.5)
    assert message is not None
    assert re.match("posterior collapse: .* has nan and", message)


def test_of_a_collapse_is_said_how_far_the_kl_is_from_the_threshold():
    message = collapse_message(np.array([0.4, 0.2, 0.0]), threshold_nats=0.5)
    assert message is not None
    assert re.search(r"of 0.5 nats, .* 0.4 and all together 0.6;", message)


@pytest.mark.parametrize(
    ("kl", "threshold"), [([0.6, 0.0, 0.0], 0.5), ([0.4, 0.2, 0.0], 0.4)]
)
def test_one_latent_at_the_threshold_is_no_collapse(kl, threshold):
    assert collapse_message(np.array(kl), threshold_nats=threshold) is None


def test_the_activity_of_means_far_from_zero_is_theirs():
    mean = (np.random.default_rng(0).normal(size=(1000, 2)) + 1e6).astype(np.float32)
    found = latent_use(jnp.asarray(mean), jnp.zeros_like(mean)).activity
    np.testing.assert_allclose(found, mean.astype(float).var(0, ddof=1), rtol=1e-4)
