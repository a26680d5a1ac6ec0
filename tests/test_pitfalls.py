"""What docs/pitfalls.md says is right, in a few lines each."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import losses, models, objectives
from vae_jax.distributions import reparameterise
from vae_jax.estimators import VAE, VAEAnomalyDetector
from vae_jax.latent import linear
from vae_jax.metrics.latents import collapse_message

ROOT = Path(__file__).parents[1]
SHAPE = (6, 6, 1)
MODEL = models.mlp_vae(image_shape=SHAPE, hidden=(8,), latents=3)
KEY = jax.random.key(0)
IMAGES = jax.random.uniform(KEY, (4, *SHAPE))
OTHERS = jax.random.uniform(jax.random.key(1), (4, *SHAPE))
FEATURES = [IMAGES, IMAGES.reshape(4, -1)]


@pytest.fixture(scope="module")
def variables():
    return models.init(MODEL, key=KEY)


def test_rows_of_channels_first_activations_mix_pixels():
    activations = np.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    place = activations[0, :, 0, 0]
    assert not (activations.reshape(-1, 3) == place).all(1).any()
    rows = np.moveaxis(activations, 1, -1).reshape(-1, 3)
    np.testing.assert_array_equal(rows[0], place)


def test_without_noise_ten_passes_are_one(variables):
    mean, logvar = MODEL.apply(variables, IMAGES, method="encode")
    still = [reparameterise(mean, logvar, jnp.zeros_like(mean)) for _ in range(10)]
    np.testing.assert_array_equal(still, 10 * [mean])
    noise = jax.random.normal(KEY, (10, *mean.shape))
    drawn = jnp.stack([reparameterise(mean, logvar, each) for each in noise])
    assert float(drawn.std(0).min()) > 0.1


def noisy_rows(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 20))


def test_a_threshold_on_training_scores_raises_more_alarms_than_it_says():
    detector = VAEAnomalyDetector(
        latents=8, n_epochs=200, learning_rate=3e-3, random_state=0
    ).fit(noisy_rows(200, 0))
    new = noisy_rows(2000, 1)
    assert (detector.predict(new) < 0).mean() > 0.1  # of a nominal 0.05
    detector.calibrate(noisy_rows(2000, 2))
    rate = (detector.predict(new) < 0).mean()
    assert rate == pytest.approx(0.05, abs=3 * np.sqrt(2 * 0.05 * 0.95 / 2000))


def test_the_gradient_of_a_mean_does_not_grow_with_the_batch(variables):
    # The noise is a matter of its own: without it, copies are copies.
    quiet = jax.tree.map(lambda x: x, variables["params"])
    quiet["encoder"]["heads"]["logvar"]["bias"] -= 100.0
    loss_fn = objectives.make_elbo_loss_fn(MODEL, losses.bernoulli_log_likelihood)
    step = jnp.zeros((), jnp.int32)

    def norm(images):
        def mean(params):
            return loss_fn(params, {}, {"image": images}, key=KEY, step=step)[0]

        return float(optax.tree.norm(jax.grad(mean)(quiet)))

    twice = jnp.concatenate([IMAGES, IMAGES])
    assert norm(twice) == pytest.approx(norm(IMAGES), rel=1e-4)


def test_a_total_rises_with_beta_and_the_plain_elbo_does_not():
    log_likelihood, kl = jnp.array([-90.0]), jnp.array([[3.0, 2.0]])
    steps = (0, 5, 10)
    terms = [
        losses.negative_elbo(
            log_likelihood, kl, beta=losses.linear_beta(step, warmup_steps=10)
        )
        for step in steps
    ]
    assert [float(t.loss[0]) for t in terms] == [90.0, 92.5, 95.0]
    assert {float((t.distortion + t.rate)[0]) for t in terms} == {95.0}


def test_free_bits_have_no_gradient_below_the_floor():
    def loss(kl):
        return losses.negative_elbo(jnp.zeros(1), kl, free_bits=0.5).loss.sum()

    gradient = jax.grad(loss)(jnp.array([[0.2, 0.49, 0.51, 3.0]]))
    np.testing.assert_array_equal(gradient, [[0, 0, 1, 1]])


def test_the_rate_is_information_and_correlation_and_marginals():
    """Two latents that are one: of three parts, the total correlation is only one."""
    z = jax.random.normal(KEY, (200, 1))
    mean = 2 * jnp.concatenate([z, z], axis=-1)
    logvar = jnp.full_like(mean, -2.0)
    parts = losses.decompose_rate(mean, mean, logvar, dataset_size=200, estimator="mss")
    values = [float(part.mean()) for part in parts]
    assert len(values) == 3
    assert min(values) > 0.5
    # At z = mean the sampled rate is log q(z|x) - log p(z).
    sampled = (0.5 * jnp.square(mean) - 0.5 * logvar).sum(-1).mean()
    assert sum(values) == pytest.approx(float(sampled), rel=1e-4)


def test_what_counts_as_collapsed_is_for_the_caller_to_say():
    kl = jnp.array([0.3, 0.1])
    assert collapse_message(kl, threshold_nats=0.2) is None
    assert "no latent has a KL of 0.5" in str(collapse_message(kl, threshold_nats=0.5))


def test_an_unused_latent_has_variance_one():
    rows = np.random.default_rng(0).normal(size=(100, 4)) * [3.0, 0.5, 0.4, 0.3]
    model = linear.probabilistic_pca(rows, latents=2, variance=1.0)
    _, logvar = linear.best_encoder(model).encode(rows)
    used, unused = np.exp(logvar[0])
    assert unused == pytest.approx(1)
    assert used < 0.2


@pytest.mark.parametrize(
    "loss",
    [
        lambda n: -losses.bernoulli_log_likelihood(n(IMAGES), n(4 * OTHERS - 2)),
        lambda n: -losses.gaussian_log_likelihood(n(IMAGES), n(OTHERS), logvar=-1.0),
        lambda n: -losses.best_variance_log_likelihood(n(IMAGES), n(OTHERS)),
        lambda n: losses.gaussian_kl(n(IMAGES), n(OTHERS)),
        lambda n: losses.ssim_loss(n(IMAGES), n(OTHERS)),
        lambda n: losses.perceptual_loss(
            [n(x) for x in FEATURES], [n(1 - x) for x in FEATURES]
        ),
        lambda n: losses.capacity_penalty(
            n(IMAGES.reshape(4, -1)), capacity=3.0, constraint_on="batch_mean"
        ),
    ],
    ids=["bernoulli", "gaussian", "variance", "kl", "ssim", "perceptual", "capacity"],
)
def test_a_batch_copied_behind_itself_has_the_same_mean(loss):
    once = float(loss(lambda x: x).mean())
    twice = float(loss(lambda x: jnp.concatenate([x, x])).mean())
    assert twice == pytest.approx(once, rel=1e-5)


def test_codes_of_an_image_are_the_same_twice(variables):
    found = [MODEL.apply(variables, IMAGES, method="encode") for _ in range(2)]
    np.testing.assert_array_equal(*(posterior.mean for posterior in found))


@pytest.mark.parametrize("samples", [1, 2, 250])
def test_any_number_of_samples_is_exact_at_the_exact_posterior(samples):
    """And a log-likelihood is one: negative here, not minus that."""
    rows = np.random.default_rng(0).normal(size=(30, 4)) * [3.0, 2.0, 0.4, 0.3]
    model = linear.probabilistic_pca(rows, latents=2)
    exact = linear.log_likelihood(model, rows)
    mean, logvar = (
        jnp.broadcast_to(jnp.asarray(x, jnp.float32), (samples, *x.shape))
        for x in linear.best_encoder(model).encode(rows)
    )
    noise = jax.random.normal(KEY, mean.shape)
    latents = reparameterise(mean, logvar, noise)

    def log_likelihood(latents):
        decoded = jnp.asarray(np.asarray(latents) @ model.weights.T + model.mean)
        return losses.gaussian_log_likelihood(
            jnp.asarray(rows, decoded.dtype),
            decoded,
            logvar=float(np.log(model.variance)),
        )

    found = jnp.stack([log_likelihood(each) for each in latents])
    weights = losses.log_importance_weight(found, latents, noise, logvar)
    assert weights.shape == (samples, 30)
    bound = losses.importance_weighted_bound(weights)
    np.testing.assert_allclose(bound, exact, rtol=1e-4)
    assert float(bound.max()) < 0


def test_any_number_of_rows_goes_through():
    rows = noisy_rows(257, 3)
    vae = VAE(latents=2, hidden=(), n_epochs=1, n_samples=2, random_state=0).fit(rows)
    whole = vae.transform(rows)
    for count in (1, 255, 256):
        np.testing.assert_array_equal(vae.transform(rows[:count]), whole[:count])
        assert vae.sample(count).shape == (count, 20)
    scores = [
        VAE(latents=2, hidden=(), n_epochs=epochs, random_state=0)
        .fit(rows[:20])
        .score(rows[:20])
        for epochs in (1, 100)
    ]
    assert scores[1] > scores[0] + 0.1


def test_every_test_that_the_page_names_exists():
    text = (ROOT / "docs" / "pitfalls.md").read_text()
    assert len(re.findall(r"^### \d+\. ", text, re.M)) == 16
    assert len(re.findall(r"^Held by: ", text, re.M)) == 16
    for file, names in re.findall(r"`(tests/[\w/]+\.py)`:\s((?:`\w+`(?:,\s)?)+)", text):
        defined = (ROOT / file).read_text()
        for name in re.findall(r"`(\w+)`", names):
            assert f"def {name}(" in defined, name
