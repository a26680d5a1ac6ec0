import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.one_class import scores as one_class
from vae_jax import detection, distributions, models

PIXELS = 28 * 28


@pytest.fixture(scope="module")
def explainer():
    return detection.build_explainer(
        "mnist",
        image_size=28,
        channels=1,
        latents=3,
        width=2,
        likelihood="bernoulli",
        noise_scale=0.1,
        tap="conv2",
        blur=1.0,
    )


@pytest.fixture(scope="module")
def variables(explainer):
    variables = models.init(explainer.model, key=jax.random.key(0))
    # Larger than at the start, so that posteriors differ from the prior.
    return jax.tree.map(lambda x: 2 * x, variables)


def pictures(count: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28, 1)).astype(np.uint8)


def noise(samples: int) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (samples, 3))


def test_a_network_that_knows_nothing_pays_one_bit_a_pixel(explainer, variables):
    """All parameters 0: the posterior is the prior and every pixel a coin."""
    nothing = jax.tree.map(jnp.zeros_like, variables)
    scores = one_class.model_scores(explainer, nothing, noise(7), pictures(3))
    np.testing.assert_array_equal(scores["kl"], 0)
    for name in ("reconstruction", "negative-elbo", "importance-weighted"):
        np.testing.assert_allclose(scores[name], PIXELS * math.log(2), rtol=1e-6)


def test_scores_agree_with_a_slow_twin(explainer, variables):
    """More samples than are decoded at a time, one image and one draw after another."""
    images, draws = pictures(2), noise(one_class.DRAWS + 3)
    scores = one_class.model_scores(explainer, variables, draws, images)
    for i, image in enumerate(jnp.asarray(images, jnp.float32) / 255):
        model = explainer.model
        mean, logvar = model.apply(variables, image[None], method="encode")
        log_likelihoods, log_weights = [], []
        for draw in draws:
            z = mean + jnp.exp(logvar / 2) * draw[None]
            decoded = model.apply(variables, z, method="decode")
            log_px = distributions.bernoulli_log_prob(image[None], decoded).sum()
            prior = distributions.normal_log_prob(z, 0.0, 0.0).sum()
            posterior = distributions.normal_log_prob(z, mean, logvar).sum()
            log_likelihoods.append(log_px)
            log_weights.append(log_px + prior - posterior)
        kl = distributions.normal_kl(mean, logvar, 0.0, 0.0).sum()
        at_mean = model.apply(variables, mean, method="decode")
        error = -distributions.bernoulli_log_prob(image[None], at_mean).sum()
        bound = jax.nn.logsumexp(jnp.stack(log_weights)) - math.log(len(draws))
        expected = {
            "kl": kl,
            "reconstruction": error,
            "negative-elbo": kl - jnp.stack(log_likelihoods).mean(),
            "importance-weighted": -bound,
        }
        for name, value in expected.items():
            assert scores[name][i] == pytest.approx(float(value), rel=1e-5)


def test_an_image_is_scored_by_itself(explainer, variables):
    """The noise is common: alone or among others, the score is the same."""
    images = pictures(5)
    together = one_class.model_scores(explainer, variables, noise(4), images)
    alone = one_class.model_scores(explainer, variables, noise(4), images[3:4])
    for name, values in together.items():
        np.testing.assert_allclose(values[3], alone[name][0], rtol=1e-5)


def test_map_scores_are_the_maximum_and_the_mean():
    maps = np.array([[[0.0, 1.0], [2.0, 5.0]], [[3.0, 3.0], [3.0, 3.0]]], np.float32)
    scores = one_class.map_scores({"a": maps})
    np.testing.assert_allclose(scores["a-max"], [5, 3])
    np.testing.assert_allclose(scores["a-mean"], [2, 3])


def test_floors_know_ink_and_distances_alone():
    training, images = pictures(20, seed=1), pictures(4, seed=2)
    images[0] = training[7]
    images[1] = 0
    scores = one_class.floor_scores(training, images)
    known, flat = (x.reshape(len(x), -1) / 255 for x in (training, images))
    distances = np.linalg.norm(flat[:, None] - known[None], axis=-1)
    np.testing.assert_allclose(
        scores["nearest-neighbour"], distances.min(1), rtol=1e-4, atol=0.05
    )
    np.testing.assert_allclose(
        scores["distance-from-mean"],
        np.linalg.norm(flat - known.mean(0), axis=1),
        rtol=1e-5,
    )
    np.testing.assert_allclose(scores["ink"], flat.sum(1), rtol=1e-5)
    np.testing.assert_array_equal(scores["little-ink"], -scores["ink"])
    assert scores["ink"][1] == 0
