import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import attention, losses, models

IMAGES = jax.random.uniform(jax.random.key(0), (3, 4, 4, 1))


class Reading(nn.Module):
    """The first three pixels are the logits."""

    def classify(self, images):
        return images.reshape(len(images), -1)[:, :3]


def test_odds_of_even_chances_and_of_a_sure_class():
    logits = jnp.log(jnp.array([1.0, 1.0, 2.0, 1.0]))[None, :, None, None]
    odds = Reading().apply({}, logits, None, method=attention.class_log_odds)
    np.testing.assert_allclose(np.exp(odds), [[1 / 3, 1 / 3, 1]], rtol=1e-6)
    sure = Reading().apply({}, 100 * logits, None, method=attention.class_log_odds)
    np.testing.assert_allclose(sure[0, 2], 100 * np.log(2) - np.log(2), rtol=1e-6)


@pytest.fixture(scope="module")
def conditional():
    model = models.ConditionalVAE(3, 2, (8,), (4, 4, 1), prior_of="class")
    return model, models.init_conditional(model, key=jax.random.key(1))


def test_the_evidence_of_a_conditional_vae_is_that_of_its_bounds(conditional):
    model, variables = conditional
    score = attention.class_evidence(losses.bernoulli_log_likelihood, classes=3)
    found = model.apply(variables, IMAGES, None, method=score)
    bounds = []
    for label in range(3):
        labels = jnp.full(3, label)
        mean, logvar = model.apply(variables, IMAGES, labels, method="encode")
        prior = model.apply(variables, labels, method="prior")
        logits = model.apply(variables, mean, labels, method="decode")
        x, logits, mean, logvar = map(np.float64, (IMAGES, logits, mean, logvar))
        likelihood = (x * logits - np.logaddexp(0, logits)).sum((1, 2, 3))
        shift = (mean - prior.mean) ** 2 / np.exp(np.float64(prior.logvar))
        ratio = logvar - prior.logvar
        rate = 0.5 * (np.exp(ratio) + shift - 1 - ratio).sum(1)
        bounds.append(likelihood - rate)
    probability = np.exp(np.stack(bounds, 1))
    probability /= probability.sum(1, keepdims=True)
    wanted = np.log(probability / (1 - probability))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_every_class_has_a_map_that_does_not_hang_on_the_batch(conditional):
    model, variables = conditional
    score = attention.class_evidence(losses.bernoulli_log_likelihood, classes=3)
    given = {"tap": "input", "score": score, "rule": attention.POINTWISE}
    maps = attention.attention_maps(model, variables, IMAGES, **given)
    assert maps.shape == (3, 3, 4, 4)
    assert maps.max() > 0
    alone = attention.attention_maps(model, variables, IMAGES[1:2], **given)
    np.testing.assert_allclose(alone[0], maps[1], rtol=1e-4, atol=1e-6)
