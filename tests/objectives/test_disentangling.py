import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import optax
import pytest

from vae_jax import attention, losses, models, objectives, train
from vae_jax.models.conv import ConvDecoder, ConvEncoder
from vae_jax.objectives import (
    DIPVAE,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    InfoVAE,
)

STEP = jnp.asarray(0)
KEY = jax.random.key(3)
MODEL = models.VAE(ConvEncoder((3, 4), 6, 3), ConvDecoder((3, 4), 6, (8, 8, 1)))
IMAGES = jax.random.uniform(jax.random.key(0), (6 * 64,)).reshape(6, 8, 8, 1)
BATCH = {"image": IMAGES, "second_image": IMAGES[::-1]}
NAMES = {"objective", "distortion", "rate", "negative_elbo"}


class Critic(nn.Module):
    """Any network from latents to two logits will do."""

    @nn.compact
    def __call__(self, latents):
        return nn.Dense(2)(nn.leaky_relu(nn.Dense(5)(latents), 0.2))


FACTOR = FactorVAE(Critic())
OBJECTIVES = {
    "beta": BetaVAE(),
    "annealed": AnnealedVAE(annealing_steps=10),
    "tc_mss": BetaTCVAE(100),
    "tc_mws": BetaTCVAE(100, "mws"),
    "factor": FACTOR,
    "dip_i": DIPVAE("i"),
    "dip_ii": DIPVAE("ii"),
    "info": InfoVAE(),
}


@functools.cache
def make_params(seed=0):
    vae_key, critic_key = jax.random.split(jax.random.key(seed))
    vae = models.init(MODEL, key=vae_key)["params"]
    return {
        # Larger than at the start of a training, where all posteriors agree.
        "vae": jax.tree.map(lambda x: 4 * x, vae),
        "discriminator": Critic().init(critic_key, jnp.zeros((1, 3)))["params"],
    }


def make_loss(objective, term=None):
    """`(params, hyper, batch, step) -> (loss, metrics)`."""
    loss_fn = objectives.make_loss_fn(MODEL, objective, attention_term=term)

    def loss(params, hyper, batch=BATCH, step=STEP):
        value, aux = loss_fn(params, {}, batch, key=KEY, step=step, hyper=hyper)
        assert aux.model_state == {}
        return value, aux.metrics

    return loss


@functools.cache
def compiled(objective, term):
    return jax.jit(make_loss(objective, term))


def evaluate(objective, term=None, *, batch=BATCH, step=STEP, **changed):
    hyper = objectives.default_hyper(objective, term) | changed
    value, metrics = compiled(objective, term)(make_params(), hyper, batch, step)
    return float(value), {name: float(x) for name, x in metrics.items()}


@functools.cache
def compiled_slope(objective, term):
    loss = make_loss(objective, term)
    return jax.jit(jax.value_and_grad(lambda *p: loss(*p)[0]))


def loss_and_slope(objective, term=None, **changed):
    """The gradient is that of the one scalar that training minimises."""
    hyper = objectives.default_hyper(objective, term) | changed
    return compiled_slope(objective, term)(make_params(), hyper)


def output_of_step(images=IMAGES):
    """What the model makes of the images with the noise of `KEY`."""
    noise_key, *_ = jax.random.split(KEY, 4)
    noise = jax.random.normal(noise_key, (len(images), 3))
    return MODEL.apply({"params": make_params()["vae"]}, images, noise=noise)


def size(tree):
    return sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(tree))


# What each objective is made of


@pytest.fixture(scope="module")
def plain():
    return evaluate(BetaVAE(), beta=1.0)


def test_beta_one_is_the_negative_elbo(plain):
    loss, metrics = plain
    assert metrics.keys() == NAMES
    output = output_of_step()
    rate = losses.gaussian_kl(output.mean, output.logvar).sum(1).mean()
    likelihood = losses.bernoulli_log_likelihood(IMAGES, output.decoded).mean()
    np.testing.assert_allclose(metrics["distortion"], -likelihood, rtol=1e-5)
    np.testing.assert_allclose(metrics["rate"], rate, rtol=1e-4)
    np.testing.assert_allclose(loss, metrics["negative_elbo"], rtol=1e-6)
    np.testing.assert_allclose(loss, rate - likelihood, rtol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_plain_elbo_stands_beside_every_objective(plain, name):
    loss, metrics = evaluate(OBJECTIVES[name])
    assert metrics.keys() >= NAMES
    for part in ("distortion", "rate", "negative_elbo"):
        np.testing.assert_allclose(metrics[part], plain[1][part], rtol=1e-5)
    adversary = metrics.get("discriminator_loss", 0.0)
    np.testing.assert_allclose(loss, metrics["objective"] + adversary, rtol=1e-5)


def excess(metrics, *, rate=1.0):
    """What the objective adds to distortion and weighted rate."""
    return metrics["objective"] - metrics["distortion"] - rate * metrics["rate"]


def test_beta_weighs_the_rate():
    _, metrics = evaluate(BetaVAE(), beta=7.0)
    np.testing.assert_allclose(excess(metrics, rate=7.0), 0, atol=1e-3)


@pytest.mark.parametrize(("step", "capacity"), [(0, 0.0), (5, 10.0), (99, 20.0)])
def test_capacity_rises_and_pulls_the_mean_rate(step, capacity):
    options = {"gamma": 3.0, "capacity": 20.0, "step": jnp.asarray(step)}
    _, metrics = evaluate(AnnealedVAE(annealing_steps=10), **options)
    np.testing.assert_allclose(metrics["capacity"], capacity)
    distance = abs(metrics["rate"] - capacity)
    np.testing.assert_allclose(
        metrics["objective"], metrics["distortion"] + 3 * distance, rtol=1e-5
    )


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_tc_vae_pays_for_the_total_correlation_beta_less_one_times(estimator):
    _, metrics = evaluate(BetaTCVAE(100, estimator), beta=5.0)
    output = output_of_step()

    def total_correlation(estimator):
        parts = losses.decompose_rate(
            output.latents, output.mean, output.logvar,
            dataset_size=100, estimator=estimator,
        )  # fmt: skip
        return parts.total_correlation.mean()

    paid, logged = total_correlation(estimator), total_correlation("mss")
    np.testing.assert_allclose(excess(metrics), 4 * paid, rtol=1e-3)
    np.testing.assert_allclose(metrics["total_correlation"], logged, rtol=1e-4)


@pytest.mark.parametrize("kind", ["i", "ii"])
def test_dip_vae_pays_for_the_covariance(kind):
    _, metrics = evaluate(DIPVAE(kind), off_diagonal=2.0, diagonal=3.0)
    output, weights = output_of_step(), {"off_diagonal": 2.0, "diagonal": 3.0}
    expected = (
        losses.dip_i(output.mean, **weights)
        if kind == "i"
        else losses.dip_ii(output.mean, output.logvar, **weights)
    )
    np.testing.assert_allclose(excess(metrics), expected, rtol=1e-3)


def test_info_vae_takes_rate_back_and_pays_for_the_discrepancy():
    _, metrics = evaluate(InfoVAE(), **{"alpha": 0.25, "lambda": 11.0})
    np.testing.assert_allclose(
        excess(metrics, rate=0.75), 10.25 * metrics["mmd"], rtol=1e-3
    )


def test_info_vae_does_not_reward_the_discrepancy_by_default():
    hyper = objectives.default_hyper(InfoVAE())
    assert hyper["alpha"] + hyper["lambda"] - 1 > 0


# Two players


@pytest.mark.parametrize("second_batch", ["same", "half", "independent"])
def test_neither_player_moves_the_other(second_batch):
    loss = make_loss(FactorVAE(Critic(), second_batch))

    @jax.jit
    @jax.jacrev
    def slopes(params):
        value, metrics = loss(params, {"gamma": 10.0})
        return value, metrics["objective"], metrics["discriminator_loss"]

    whole, vae, critic = slopes(make_params())
    assert size(vae["discriminator"]) == 0
    assert size(critic["vae"]) == 0
    assert size(critic["discriminator"]) > 0
    assert size(vae["vae"]["encoder"]) > 0
    apart = {"vae": vae["vae"], "discriminator": critic["discriminator"]}
    for one, other in zip(*map(jax.tree.leaves, (whole, apart)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_encoder_does_feel_the_density_ratio():
    slopes = [loss_and_slope(FACTOR, gamma=g)[1]["vae"]["encoder"] for g in (0.0, 10.0)]
    assert size(jax.tree.map(lambda a, b: a - b, *slopes)) > 1e-3


def test_gamma_weighs_the_density_ratio():
    _, metrics = evaluate(FACTOR, gamma=10.0)
    logits = Critic().apply(
        {"params": make_params()["discriminator"]}, output_of_step().latents
    )
    ratio = losses.density_ratio(logits).mean()
    np.testing.assert_allclose(metrics["total_correlation"], ratio, rtol=1e-4)
    np.testing.assert_allclose(excess(metrics), 10 * ratio, rtol=1e-3)
    assert 0 <= metrics["discriminator_accuracy"] <= 1


def test_the_choice_of_the_second_batch_decides_what_the_vae_sees():
    distortions = {}
    for choice in ("same", "half", "independent"):
        objective = FactorVAE(Critic(), choice)
        distortions[choice] = evaluate(objective)[1]["distortion"]
        changed = {"image": IMAGES, "second_image": jnp.zeros_like(IMAGES)}
        moved = evaluate(objective, batch=changed)[1]["discriminator_loss"]
        kept = evaluate(objective)[1]["discriminator_loss"]
        assert (moved != kept) == (choice == "independent")
    first_half = output_of_step(IMAGES[:3])
    expected = -losses.bernoulli_log_likelihood(IMAGES[:3], first_half.decoded).mean()
    np.testing.assert_allclose(distortions["half"], expected, rtol=1e-5)
    assert distortions["same"] == distortions["independent"]


def test_an_odd_batch_has_no_halves():
    with pytest.raises(ValueError, match="wants an even number of images, got 5"):
        evaluate(FactorVAE(Critic(), "half"), batch={"image": IMAGES[:5]})


def test_a_second_batch_of_another_size_is_refused():
    batch = {"image": IMAGES, "second_image": IMAGES[:4]}
    # By the shape checks of the test run, else by the loss itself.
    with pytest.raises(jaxtyping.TypeCheckError, match="permuted_logits"):
        evaluate(FactorVAE(Critic(), "independent"), batch=batch)


def test_one_step_moves_both_players_each_by_its_own_optimiser():
    loss_fn = objectives.make_loss_fn(MODEL, FACTOR)
    hyper = objectives.default_hyper(FACTOR)
    optimizer = optax.partition(
        {"vae": optax.sgd(0.0), "discriminator": optax.sgd(1.0)},
        {"vae": "vae", "discriminator": "discriminator"},
    )
    step = train.make_train_step(functools.partial(loss_fn, hyper=hyper), optimizer)
    state = train.create_state(
        lambda key: (make_params(), {}),
        optimizer, key=KEY, mesh=train.data_mesh(), ema=False,
    )  # fmt: skip
    after, metrics = jax.jit(step)(state, BATCH)
    for part, moves in (("vae", False), ("discriminator", True)):
        change = jax.tree.map(
            lambda a, b: a - b, after.params[part], make_params()[part]
        )
        assert (size(change) > 0) == moves
    total = metrics["objective"] + metrics["discriminator_loss"]
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-6)


# Attention


def maps_of_step(tap="relu2"):
    noise_key, *_ = jax.random.split(KEY, 4)
    return attention.attention_maps(
        MODEL, {"params": make_params()["vae"]}, IMAGES,
        tap=tap, noise=jax.random.normal(noise_key, (6, 3)),
    )  # fmt: skip


@pytest.mark.parametrize("pairs", ["random", "strongest", "all"])
def test_the_overlap_is_that_of_attention_maps_and_is_weighed(plain, pairs):
    term = objectives.AttentionTerm(tap="relu2", pairs=pairs, resolution="image")
    _, metrics = evaluate(BetaVAE(), term, beta=1.0, attention=50.0)
    maps = maps_of_step()
    overlap = {
        (i, j): losses.attention_disentanglement(maps[:, i], maps[:, j])
        for i, j in ((0, 1), (0, 2), (1, 2))
    }
    match pairs:
        case "all":
            expected = np.mean([*overlap.values()])
        case "strongest":
            chosen = np.sort(np.abs(output_of_step().mean).argsort(1)[:, -2:], axis=1)
        case "random":
            _, pair_key, *_ = jax.random.split(KEY, 4)
            chosen = attention.random_pairs(batch=6, latents=3, key=pair_key)
            chosen = np.sort(chosen, axis=1)
    if pairs != "all":
        expected = np.mean([overlap[i, j][n] for n, (i, j) in enumerate(chosen)])
    assert 0 < expected < 1
    np.testing.assert_allclose(metrics["attention_overlap"], expected, rtol=1e-4)
    np.testing.assert_allclose(excess(metrics), 50 * expected, rtol=1e-3)
    np.testing.assert_allclose(
        metrics["negative_elbo"], plain[1]["negative_elbo"], rtol=1e-5
    )


def test_a_pair_is_drawn_anew_in_every_step_and_for_every_image():
    term = objectives.AttentionTerm(tap="relu2")
    mean = jnp.zeros((40, 6))
    first, second = (term.choose(mean, key=jax.random.key(k)) for k in (0, 1))
    assert (first != second).any()
    assert len({tuple(pair) for pair in first.tolist()}) > 10


def test_the_term_goes_with_an_adversary():
    term = objectives.AttentionTerm(tap="relu2")
    _, slope = loss_and_slope(FACTOR, term, attention=0.0)
    _, expected = loss_and_slope(FACTOR)
    for one, other in zip(*map(jax.tree.leaves, (slope, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_stopped_weights_change_the_gradient_and_not_the_loss():
    def run(second_order):
        term = objectives.AttentionTerm(tap="relu2", second_order=second_order)
        return loss_and_slope(BetaVAE(), term, attention=1000.0)

    (one, whole), (other, stopped) = run(True), run(False)
    np.testing.assert_allclose(one, other, rtol=1e-6)
    heads = [slope["vae"]["encoder"]["heads"] for slope in (whole, stopped)]
    assert size(jax.tree.map(lambda a, b: a - b, *heads)) > 1e-3


@pytest.mark.parametrize("scale", [1e-25, 1e-19])
def test_a_step_survives_latents_that_have_all_but_died(scale):
    term = objectives.AttentionTerm(tap="relu2")
    vae = make_params()["vae"]
    heads = jax.tree.map(lambda x: scale * x, vae["encoder"]["heads"])
    faint = {"vae": vae | {"encoder": vae["encoder"] | {"heads": heads}}}
    hyper = objectives.default_hyper(BetaVAE(), term)
    value, slope = compiled_slope(BetaVAE(), term)(faint, hyper)
    assert jnp.isfinite(value)
    assert np.isfinite(size(slope))


@pytest.mark.parametrize("pairs", ["random", "strongest", "all"])
def test_one_latent_makes_no_pair(pairs):
    term = objectives.AttentionTerm(pairs=pairs)
    with pytest.raises(
        ValueError, match="AttentionTerm: a pair needs two latents, got 1;"
    ):
        term.choose(jnp.zeros((6, 1)), key=KEY)


BY_CHANNEL = attention.Rule(rectify_at="channel", resize="bilinear_aligned")


def corners_on_corners(size, new_size):
    """Rows of a matrix that interpolates linearly from end to end."""
    places = np.linspace(0, size - 1, new_size)
    return np.stack([np.interp(places, np.arange(size), e) for e in np.eye(size)], 1)


def map_twin(rule, gradient, activation, resolution):
    """A map by numpy: `BY_CHANNEL` or `attention.REPRO2021`."""
    if rule == attention.REPRO2021:
        gradient = gradient / (np.sqrt(np.square(gradient).mean()) + 1e-5)
    shares = gradient.mean((1, 2), keepdims=True) * activation
    if rule == attention.REPRO2021:
        maps = np.abs(shares).mean(-1)
    else:
        maps = np.maximum(shares, 0).sum(-1)
    if resolution == "tap":
        return maps
    matrix = corners_on_corners(4, 8)
    return np.einsum("ip,jq,bpq->bij", matrix, matrix, maps)


@pytest.mark.parametrize("resolution", ["tap", "image"])
@pytest.mark.parametrize("rule", [BY_CHANNEL, attention.REPRO2021])
def test_maps_rectified_by_channel_overlap_as_by_numpy(rule, resolution):
    term = objectives.AttentionTerm(
        tap="relu1", pairs="all", rule=rule, resolution=resolution, second_order=False
    )
    _, metrics = evaluate(BetaVAE(), term)
    noise_key, *_ = jax.random.split(KEY, 4)
    activation, gradients = attention.tap_gradient(
        MODEL, {"params": make_params()["vae"]}, IMAGES, tap="relu1",
        score=attention.latents, noise=jax.random.normal(noise_key, (6, 3)),
    )  # fmt: skip
    maps = [
        map_twin(rule, np.float64(gradients[:, i]), np.float64(activation), resolution)
        for i in range(3)
    ]
    overlaps = [
        2 * np.minimum(a, b).sum((1, 2)) / (a + b).sum((1, 2))
        for a, b in itertools.combinations(maps, 2)
    ]
    assert 0.01 < np.mean(overlaps) < 0.99
    np.testing.assert_allclose(
        metrics["attention_overlap"], np.mean(overlaps), rtol=1e-4
    )


def test_a_first_order_overlap_at_the_first_layer_teaches_that_layer_alone():
    term = objectives.AttentionTerm(
        tap="relu1", rule=BY_CHANNEL, resolution="image", second_order=False
    )
    loss, hyper = make_loss(BetaVAE(), term), objectives.default_hyper(BetaVAE(), term)

    @jax.jit
    @jax.grad
    def slope(params):
        return loss(params, hyper)[1]["attention_overlap"]

    slopes = slope(make_params())["vae"]
    moved = slopes["encoder"].pop("convolution1")
    assert size(moved) > 1e-3
    assert size(slopes) == 0


def test_maps_that_can_be_negative_are_refused():
    with pytest.raises(ValueError, match=r"AttentionTerm: .* rectify='none'; choose"):
        objectives.AttentionTerm(rule=attention.Rule(rectify="none"))


# Sweeps


@pytest.mark.parametrize("term", [None, objectives.AttentionTerm(tap="relu2")])
def test_runs_side_by_side_are_the_runs_alone(term):
    loss_fn = objectives.make_loss_fn(MODEL, FACTOR, attention_term=term)
    params = [make_params(0), make_params(1)]
    hypers = [
        {"gamma": jnp.asarray(g), "attention": jnp.asarray(a)}
        for g, a in ((1.0, 5.0), (30.0, 0.5))
    ]
    keys = jax.random.split(KEY)

    def run(params, key, hyper):
        value, aux = loss_fn(params, {}, BATCH, key=key, step=STEP, hyper=hyper)
        return value, aux.metrics

    def stack(*trees):
        return jax.tree.map(lambda *x: jnp.stack(x), *trees)

    together = jax.jit(jax.vmap(run))(stack(*params), keys, stack(*hypers))
    alone = stack(*map(jax.jit(run), params, keys, hypers))
    for one, other in zip(*map(jax.tree.leaves, (together, alone)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_missing_number_is_named():
    term = objectives.AttentionTerm()
    loss_fn = objectives.make_loss_fn(MODEL, BetaVAE(), attention_term=term)
    with pytest.raises(ValueError, match="must hold beta, attention, but attention is"):
        loss_fn(make_params(), {}, BATCH, key=KEY, step=STEP, hyper={"beta": 1.0})
