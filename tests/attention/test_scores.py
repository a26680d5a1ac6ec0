import functools
import pickle

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.attention import (
    NormalAggregate,
    kl,
    latents,
    negative_elbo,
    normal_aggregate,
    normal_difference,
    reconstruction_error,
    squared_norm,
    sum_of_latents,
)
from vae_jax.models.blocks import Posterior


class Copying(nn.Module):
    """The first two pixels are the mean, the next two the logvar, z the picture."""

    def encode(self, images):
        pixels = images.reshape(len(images), 4)
        return Posterior(pixels[:, :2], pixels[:, 2:])

    def decode(self, latents):
        return jnp.concatenate([latents, latents], 1).reshape(-1, 2, 2, 1)


# Two images: means (1, 2) and (-3, 0.5), variances (1, 4) and (1, 1).
PIXELS = np.array([[1, 2, 0, np.log(4)], [-3, 0.5, 0, 0]], "f4")
IMAGES = jnp.asarray(PIXELS).reshape(2, 2, 2, 1)
NOISE = jnp.array([[1.0, -1.0], [0.5, 2.0]])  # z: (2, 0) and (-2.5, 2.5)


def squared_likelihood(images, decoded):
    return -jnp.square(images - decoded).sum((1, 2, 3))


def run(score, noise=None):
    return np.array(Copying().apply({}, IMAGES, noise, method=score))


NORMAL = NormalAggregate(jnp.array([10.0, 10.0]), jnp.array([3.0, 5.0]))
KL = [
    (1 + 0) / 2 + (4 + 4 - 1 - np.log(4)) / 2,
    9 / 2 + 0.25 / 2,
]


@pytest.mark.parametrize(
    ("score", "of_mean", "of_sample"),
    [
        (latents, [[1, 2], [-3, 0.5]], [[2, 0], [-2.5, 2.5]]),
        (sum_of_latents, [3, -2.5], [2, 0]),
        (squared_norm, [2.5, 4.625], [2, 6.25]),
        (kl, KL, KL),
        # u = (10 - mean) + sqrt(variance + (3, 5)) noise, with roots (2, 3) and
        # (2, sqrt(6)).
        (
            normal_difference(NORMAL),
            [17, 22.5],
            [17 + 2 - 3, 22.5 + 1 + 2 * np.sqrt(6)],
        ),
        # Pictures are (z, z) against (mean, logvar).
        (
            reconstruction_error(squared_likelihood),
            [1 + (2 - np.log(4)) ** 2, 9 + 0.25],
            [1 + 4 + 4 + np.log(4) ** 2, 0.25 + 4 + 6.25 + 6.25],
        ),
    ],
)
def test_known_answers(score, of_mean, of_sample):
    np.testing.assert_allclose(run(score), of_mean, rtol=1e-6)
    np.testing.assert_allclose(run(score, NOISE), of_sample, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("noise", [None, NOISE])
def test_negative_elbo_is_reconstruction_error_plus_kl(noise):
    error = run(reconstruction_error(squared_likelihood), noise)
    elbo = run(negative_elbo(squared_likelihood), noise)
    np.testing.assert_allclose(elbo, error + run(kl), rtol=1e-6)


def test_zero_noise_is_the_mean():
    for score in (latents, squared_norm, negative_elbo(squared_likelihood)):
        np.testing.assert_array_equal(
            run(score), run(score, jnp.zeros((2, 2), jnp.float32))
        )


def test_normal_aggregate_is_the_variance_of_samples():
    rng = np.random.default_rng(0)
    mean, logvar = rng.normal(size=(2, 50, 3)).astype("f4")
    aggregate = normal_aggregate(jnp.asarray(mean), jnp.asarray(logvar))
    noise = rng.normal(size=(20_000, 50, 3))
    z = (mean + np.exp(logvar / 2) * noise).reshape(-1, 3)
    np.testing.assert_allclose(aggregate.mean, z.mean(0), atol=0.01)
    np.testing.assert_allclose(aggregate.variance, z.var(0), rtol=0.01)


def test_normal_difference_has_the_law_of_equation_4():
    # Of one image, many draws: u is normal with mean 17 and variance (3 + 1) + (5 + 4).
    draws = 20_000
    images = jnp.broadcast_to(IMAGES[:1], (draws, 2, 2, 1))
    score = normal_difference(NORMAL)
    noise = jax.random.normal(jax.random.key(0), (draws, 2))
    u = np.array(Copying().apply({}, images, noise, method=score))
    assert abs(u.mean() - 17) < 4 * np.sqrt(13 / draws)
    assert abs(u.var() - 13) < 4 * 13 * np.sqrt(2 / draws)


FACTORIES = {
    "reconstruction_error": (reconstruction_error, squared_likelihood),
    "negative_elbo": (negative_elbo, squared_likelihood),
    "normal_difference": (normal_difference, NORMAL),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_scores_of_equal_arguments_are_equal_and_can_be_sent(name):
    factory, argument = FACTORIES[name]
    score = factory(argument)
    again = factory(jax.tree.map(jnp.copy, argument) if name[:2] == "no" else argument)
    assert score == again
    assert hash(score) == hash(again)
    sent = pickle.loads(pickle.dumps(score))
    assert sent == score
    np.testing.assert_array_equal(run(sent, NOISE), run(score, NOISE))


def test_scores_of_other_arguments_are_others():
    other = NORMAL._replace(mean=NORMAL.mean + 1)
    assert normal_difference(NORMAL) != normal_difference(other)
    assert reconstruction_error(squared_likelihood) != negative_elbo(squared_likelihood)


def test_equal_scores_compile_once():
    @functools.partial(jax.jit, static_argnames="score")
    @chex.assert_max_traces(n=1)
    def traced(images, score):
        return Copying().apply({}, images, None, method=score)

    for _ in range(2):
        traced(IMAGES, score=normal_difference(NORMAL))


def test_a_score_of_traced_statistics_runs_inside_jit():
    expected = run(normal_difference(NORMAL))
    found = jax.jit(
        lambda normal: Copying().apply(
            {}, IMAGES, None, method=normal_difference(normal)
        )
    )(NORMAL)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
