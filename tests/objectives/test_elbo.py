import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import losses, models, objectives

MODEL = models.mlp_vae(image_shape=(3, 4, 1), hidden=(6,), latents=2)
KEYS = jax.random.split(jax.random.key(0), 4)
IMAGES = jax.random.uniform(KEYS[0], (6, 3, 4, 1))
BATCH = {"image": IMAGES}
PARAMS = models.init(MODEL, key=KEYS[1])["params"]
LIKELIHOOD = losses.bernoulli_log_likelihood


def loss_and_figures(*, step=0, batch=BATCH, hyper=None, key=KEYS[2], **options):
    loss_fn = objectives.make_elbo_loss_fn(MODEL, LIKELIHOOD, **options)
    loss, aux = loss_fn(PARAMS, {}, batch, key=key, step=step, hyper=hyper)
    return float(loss), {name: float(value) for name, value in aux.metrics.items()}


@pytest.fixture
def same_noise(monkeypatch):
    """The noise of an image is its own, and so is its copy's."""
    noise = jax.random.normal(KEYS[3], (6, 2))
    monkeypatch.setattr(
        jax.random, "normal", lambda key, shape: jnp.tile(noise, (shape[0] // 6, 1))
    )


@pytest.fixture(scope="module")
def plain():
    return loss_and_figures()


def test_it_is_the_elbo_of_the_networks(plain):
    noise = jax.random.normal(KEYS[2], (6, 2))
    output = MODEL.apply({"params": PARAMS}, IMAGES, noise=noise)
    logits, images = np.float64(output.decoded), np.float64(IMAGES)
    distortion = np.log1p(np.exp(logits)) - images * logits
    mean, logvar = np.float64(output.mean), np.float64(output.logvar)
    rate = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar)
    expected = distortion.reshape(6, -1).sum(1).mean() + rate.sum(1).mean()
    assert plain[0] == pytest.approx(expected, rel=1e-5)
    assert plain[1]["rate"] == pytest.approx(rate.sum(1).mean(), rel=1e-5)
    assert plain[1]["beta"] == 1


@pytest.mark.parametrize("given", [{"beta": 4.0}, {"hyper": {"beta": 4.0}}])
def test_beta_weighs_the_rate_and_the_plain_elbo_stays_beside_it(plain, given):
    loss, figures = loss_and_figures(**given)
    assert loss == pytest.approx(figures["distortion"] + 4 * figures["rate"], rel=1e-5)
    assert figures["negative_elbo"] == pytest.approx(plain[0], rel=1e-6)


def warm_up(step, hyper):
    return losses.linear_beta(step, warmup_steps=hyper["warmup_steps"])


def test_under_a_schedule_the_logged_elbo_is_that_of_weight_one(plain):
    """What is lower under a smaller weight says nothing about the network."""
    hyper = {"beta": 2.0, "warmup_steps": 10}
    found = [
        loss_and_figures(step=step, schedule=warm_up, hyper=hyper)
        for step in (0, 5, 10, 99)
    ]
    assert [figures["beta"] for _, figures in found] == [0, 1, 2, 2]
    assert len({loss for loss, _ in found}) == 3
    for _, figures in found:
        assert figures["negative_elbo"] == pytest.approx(plain[0], rel=1e-6)


def test_a_schedule_also_raises_a_capacity(plain):
    hyper = {"beta": 30.0, "capacity": 8.0, "warmup_steps": 4}
    loss, figures = loss_and_figures(
        step=1, schedule=warm_up, hyper=hyper, constraint_on="batch_mean"
    )
    assert figures["capacity"] == 2
    expected = figures["distortion"] + 30 * abs(figures["rate"] - 2)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_free_bits_pay_nothing_below_the_floor_and_move_no_encoder():
    """It is below the floor that there is no gradient, not above."""
    loss_fn = objectives.make_elbo_loss_fn(
        MODEL, lambda images, _: 0 * images[:, 0, 0, 0]
    )
    for floor, moves in ((50.0, False), (1e-6, True)):
        slope = jax.grad(
            lambda params, floor=floor: loss_fn(
                params, {}, BATCH, key=KEYS[2], step=0, hyper={"free_bits": floor}
            )[0]
        )(PARAMS)
        norm = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(slope["encoder"]))
        assert (norm > 0) == moves


def test_without_noise_and_rate_it_is_the_autoencoder():
    hyper = {"beta": 0.0, "noise": 0.0}
    loss, figures = loss_and_figures(hyper=hyper)
    other, _ = loss_and_figures(hyper=hyper, key=KEYS[3])
    decoded = MODEL.apply({"params": PARAMS}, IMAGES, noise=jnp.zeros((6, 2))).decoded
    expected = -float(LIKELIHOOD(IMAGES, decoded).mean())
    assert loss == other == pytest.approx(expected, rel=1e-6)
    assert loss == pytest.approx(figures["distortion"], rel=1e-6)


def test_a_mask_hides_pixels_from_the_encoder_and_none_from_the_loss():
    loss, figures = loss_and_figures(hyper={"masked": 1.0, "noise": 0.0})
    black = MODEL.apply(
        {"params": PARAMS}, jnp.zeros_like(IMAGES), noise=jnp.zeros((6, 2))
    )
    expected = -float(LIKELIHOOD(IMAGES, black.decoded).mean())
    assert figures["distortion"] == pytest.approx(expected, rel=1e-6)
    whole, _ = loss_and_figures(hyper={"masked": 0.0, "noise": 0.0})
    unmasked, _ = loss_and_figures(hyper={"noise": 0.0})
    assert whole == unmasked != loss


def test_a_mask_takes_that_share_of_the_pixels_with_all_their_channels():
    images = objectives.mask_pixels(jnp.ones((50, 8, 8, 3)), key=KEYS[0], share=0.3)
    assert set(np.unique(images)) == {0.0, 1.0}
    np.testing.assert_array_equal(
        images[..., :1] * jnp.ones(3)[None, None, None], images
    )
    assert float(images.mean()) == pytest.approx(0.7, abs=5 * (0.21 / 3200) ** 0.5)


@pytest.mark.parametrize(
    "hyper",
    [{}, {"beta": 3.0, "free_bits": 0.3}, {"capacity": 1.0}],
    ids=["plain", "free bits", "capacity"],
)
def test_a_batch_twice_over_has_the_same_mean(hyper, same_noise):
    doubled = {"image": jnp.concatenate([IMAGES, IMAGES])}
    once, _ = loss_and_figures(hyper=hyper)
    twice, _ = loss_and_figures(hyper=hyper, batch=doubled)
    assert twice == pytest.approx(once, rel=1e-5)


def test_the_gradient_of_a_mean_has_one_norm_at_every_batch_size(same_noise):
    """So a threshold clips alike; of a sum over the batch the norm grows with it."""
    loss_fn = objectives.make_elbo_loss_fn(MODEL, LIKELIHOOD)

    def norm(copies):
        batch = {"image": jnp.tile(IMAGES, (copies, 1, 1, 1))}
        slope = jax.grad(
            lambda params: loss_fn(params, {}, batch, key=KEYS[2], step=0)[0]
        )
        return float(optax.tree.norm(slope(PARAMS)))

    assert norm(4) == pytest.approx(norm(1), rel=1e-4)


def test_runs_that_differ_in_numbers_are_one_program():
    hyper = {"beta": jnp.array([0.0, 1.0, 4.0]), "noise": jnp.array([0.0, 1.0, 1.0])}
    loss_fn = objectives.make_elbo_loss_fn(MODEL, LIKELIHOOD)
    run = functools.partial(loss_fn, PARAMS, {}, BATCH, key=KEYS[2], step=0)
    together = jax.jit(jax.vmap(lambda hyper: run(hyper=hyper)[0]))(hyper)
    alone = [
        loss_and_figures(hyper={name: float(x[i]) for name, x in hyper.items()})[0]
        for i in range(3)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_number_of_another_name_is_refused():
    with pytest.raises(ValueError, match=r"may hold beta, .* got free_bit"):
        loss_and_figures(hyper={"free_bit": 1.0})
    with pytest.raises(ValueError, match="two rules for one rate"):
        loss_and_figures(hyper={"free_bits": 1.0, "capacity": 2.0})


def test_an_autoregressive_decoder_is_trained_by_the_same_loss():
    model = models.PixelVAE(
        models.MLPEncoder((4,), 2),
        models.AutoregressiveDecoder(
            models.MLPDecoder((4,), (3, 4, 2)), (3, 4, 1), features=2, layers=1
        ),
    )
    params = models.init(model, key=KEYS[1])["params"]
    loss_fn = objectives.make_elbo_loss_fn(model, LIKELIHOOD)
    loss, aux = loss_fn(params, {}, BATCH, key=KEYS[2], step=0)
    output = model.apply(
        {"params": params}, IMAGES, noise=jax.random.normal(KEYS[2], (6, 2))
    )
    distortion = -float(LIKELIHOOD(IMAGES, output.decoded).mean())
    assert float(aux.metrics["distortion"]) == pytest.approx(distortion, rel=1e-6)
    assert float(loss) == pytest.approx(distortion + float(aux.metrics["rate"]))


@pytest.fixture(scope="module")
def too_many_latents():
    """Posteriors of a VAE of four latents, of data that vary along one line alone."""
    model = models.VAE(models.MLPEncoder((16,), 4), models.MLPDecoder((16,), (1, 3, 1)))
    direction = jnp.array([1.0, -2.0, 0.5]).reshape(1, 1, 3, 1)
    line = jax.random.normal(KEYS[0], (256, 1, 1, 1)) * direction
    likelihood = functools.partial(losses.gaussian_log_likelihood, logvar=-3.0)
    loss_fn = objectives.make_elbo_loss_fn(model, likelihood)
    optimizer = optax.adam(0.01)
    params = models.init(model, key=KEYS[1])["params"]

    @jax.jit
    def train(params):
        def step(carry, key):
            params, state = carry
            slope = jax.grad(
                lambda p: loss_fn(p, {}, {"image": line}, key=key, step=0)[0]
            )(params)
            updates, state = optimizer.update(slope, state, params)
            return (optax.apply_updates(params, updates), state), None

        keys = jax.random.split(KEYS[2], 1500)
        return jax.lax.scan(step, (params, optimizer.init(params)), keys)[0][0]

    return model.apply({"params": train(params)}, line, method="encode")


def test_a_latent_that_is_not_needed_has_the_variance_of_the_prior_and_not_zero(
    too_many_latents,
):
    mean, logvar = too_many_latents
    kl = losses.gaussian_kl(mean, logvar).mean(0)
    order = np.argsort(-np.asarray(kl))
    variance = np.asarray(jnp.exp(logvar).mean(0))[order]
    assert kl[order[0]] > 1 > 10 * kl[order[1]]
    assert variance[0] < 0.2
    np.testing.assert_allclose(variance[1:], 1, atol=0.1)


def test_a_beta_above_one_weighs_all_three_parts_of_the_rate():
    """Not the total correlation alone, of which latents apart have none."""
    mean = jnp.array([[-1.0, 0.0], [1.0, 0.0]] * 16)
    logvar = jnp.full((32, 2), -2.0)
    noise = jax.random.normal(KEYS[0], (32, 2))
    latents = mean + jnp.exp(logvar / 2) * noise
    parts = losses.decompose_rate(
        latents, mean, logvar, dataset_size=32, estimator="mss"
    )
    extra = losses.negative_elbo(
        jnp.zeros(32), losses.gaussian_kl(mean, logvar), beta=3.0
    )
    added = float((extra.loss - extra.distortion - extra.rate).mean())
    kl = losses.gaussian_kl(mean, logvar).sum(-1).mean()
    assert added == pytest.approx(2 * float(kl), rel=1e-5)
    total_correlation = float(parts.total_correlation.mean())
    assert abs(2 * total_correlation) < 0.1 * added
