import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax import distributions, losses

few = settings(max_examples=20, deadline=None)
LOG_LIKELIHOOD = jnp.array([-10.0, -20.0, -30.0])
KL = jnp.array([[0.1, 1.0], [0.2, 2.0], [0.6, 3.0]])


# KL to the standard normal


@pytest.mark.parametrize(
    ("mean", "logvar", "nats"),
    [(0.0, 0.0, 0.0), (2.0, 0.0, 2.0), (0.0, math.log(4.0), 1.5 - math.log(2.0))],
)
def test_gaussian_kl_known_answers(mean, logvar, nats):
    kl = losses.gaussian_kl(jnp.array([mean]), jnp.array([logvar]))
    np.testing.assert_allclose(kl, [nats], rtol=1e-6)


def test_gaussian_kl_agrees_with_monte_carlo():
    mean, logvar = jnp.full((200_000, 1), 0.8), jnp.full((200_000, 1), -1.1)
    z = distributions.sample_normal(mean, logvar, key=jax.random.key(0))
    posterior = distributions.normal_log_prob(z, mean, logvar)
    log_ratio = posterior - distributions.normal_log_prob(z, 0.0, 0.0)
    np.testing.assert_allclose(
        losses.gaussian_kl(mean[:1], logvar[:1])[0, 0],
        log_ratio.mean(),
        atol=4 * float(log_ratio.std()) / math.sqrt(z.size),
    )


def test_gaussian_kl_has_its_only_minimum_at_the_prior():
    def total(posterior):
        return losses.gaussian_kl(*posterior).sum()

    at_prior = (jnp.zeros(3), jnp.zeros(3))
    for slope in jax.grad(total)(at_prior):
        np.testing.assert_array_equal(slope, 0.0)
    # The Hessian there is 1 for the mean and 1/2 for the log-variance.
    _, curvature = jax.jvp(jax.grad(total), (at_prior,), ((jnp.ones(3), jnp.ones(3)),))
    np.testing.assert_allclose(curvature[0], 1.0)
    np.testing.assert_allclose(curvature[1], 0.5)


# Negative ELBO


def test_plain_negative_elbo_is_distortion_plus_rate():
    terms = losses.negative_elbo(LOG_LIKELIHOOD, KL)
    np.testing.assert_allclose(terms.distortion, [10, 20, 30])
    np.testing.assert_allclose(terms.rate, [1.1, 2.2, 3.6], rtol=1e-6)
    np.testing.assert_allclose(terms.loss, [11.1, 22.2, 33.6], rtol=1e-6)


def test_the_objective_comes_first():
    terms = losses.negative_elbo(LOG_LIKELIHOOD, KL)
    assert terms._fields == ("loss", "distortion", "rate")


@few
@given(beta=st.floats(0, 20, width=32))
def test_beta_weighs_the_rate_and_nothing_else(beta):
    plain = losses.negative_elbo(LOG_LIKELIHOOD, KL)
    weighted = losses.negative_elbo(LOG_LIKELIHOOD, KL, beta=beta)
    np.testing.assert_array_equal(weighted.rate, plain.rate)
    np.testing.assert_array_equal(weighted.distortion, plain.distortion)
    np.testing.assert_allclose(
        weighted.loss, plain.distortion + beta * plain.rate, rtol=1e-6
    )


def test_free_bits_lift_each_latent_of_each_example_to_the_floor():
    terms = losses.negative_elbo(LOG_LIKELIHOOD, KL, free_bits=0.5, beta=2.0)
    floored = np.array([0.5 + 1.0, 0.5 + 2.0, 0.6 + 3.0])
    np.testing.assert_allclose(terms.loss, terms.distortion + 2 * floored, rtol=1e-6)
    np.testing.assert_allclose(terms.rate, [1.1, 2.2, 3.6], rtol=1e-6)


def test_free_bits_on_the_batch_mean_is_the_floor_of_the_mean():
    # Mean KLs 0.3 and 2.0: the first latent is under the floor although one of its
    # examples is not.
    terms = losses.negative_elbo(
        LOG_LIKELIHOOD, KL, free_bits=0.5, constraint_on="batch_mean"
    )
    np.testing.assert_allclose(terms.loss.mean(), 20 + 0.5 + 2.0, rtol=1e-6)


def slope_of_mean_loss(kl, **options):
    def mean_loss(kl):
        return losses.negative_elbo(LOG_LIKELIHOOD, kl, **options).loss.mean()

    return jax.grad(mean_loss)(kl)


def test_free_bits_gradient_is_zero_below_the_floor_and_whole_from_there_on():
    kl = jnp.array([[0.1, 0.49], [0.5, 0.51], [2.0, 0.0]])
    third = 1 / 3  # Of the mean over three examples.
    np.testing.assert_allclose(
        slope_of_mean_loss(kl, free_bits=0.5),
        [[0, 0], [third, third], [third, 0]],
        rtol=1e-6,
    )


def test_free_bits_gradient_on_the_batch_mean_acts_on_whole_latents():
    slope = slope_of_mean_loss(KL, free_bits=0.5, constraint_on="batch_mean")
    np.testing.assert_allclose(slope, [[0, 1 / 3]] * 3, rtol=1e-6)


def test_no_free_bits_leave_the_gradient_at_the_prior_whole():
    slope = slope_of_mean_loss(jnp.zeros((3, 2)), free_bits=0.0)
    np.testing.assert_allclose(slope, 1 / 3, rtol=1e-6)


def test_capacity_pays_for_the_distance_on_either_side():
    terms = losses.negative_elbo(LOG_LIKELIHOOD, KL, beta=100.0, capacity=2.2)
    np.testing.assert_allclose(
        terms.loss, [10 + 110, 20, 30 + 140], rtol=1e-5, atol=1e-4
    )
    slope = slope_of_mean_loss(KL, beta=3.0, capacity=2.0)
    np.testing.assert_allclose(slope, [[-1, -1], [1, 1], [1, 1]])


@pytest.mark.parametrize("capacity", [0.0, 1.0, 2.3, 25.0])
def test_capacity_on_the_batch_mean_is_the_distance_of_the_mean(capacity):
    options = {"beta": 5.0, "capacity": capacity, "constraint_on": "batch_mean"}
    loss = losses.negative_elbo(LOG_LIKELIHOOD, KL, **options).loss
    np.testing.assert_allclose(loss.mean(), 20 + 5 * abs(2.3 - capacity), rtol=1e-5)
    if capacity != 2.3:
        sign = np.sign(2.3 - capacity)
        slope = slope_of_mean_loss(KL, **options)
        np.testing.assert_allclose(slope, 5 / 3 * sign, rtol=1e-6)


@pytest.mark.parametrize("constraint_on", ["example", "batch_mean"])
def test_the_capacity_penalty_is_what_the_objective_adds(constraint_on):
    options = {"capacity": 2.2, "constraint_on": constraint_on}
    penalty = losses.capacity_penalty(KL, **options)
    loss = losses.negative_elbo(LOG_LIKELIHOOD, KL, beta=7.0, **options).loss
    np.testing.assert_allclose(loss, 7 * penalty - LOG_LIKELIHOOD, rtol=1e-6)


def test_capacity_penalty_known_answers():
    # Rates 1.1, 2.2 and 3.6, of mean 2.3.
    found = losses.capacity_penalty(KL, capacity=2.2, constraint_on="example")
    np.testing.assert_allclose(found, [1.1, 0.0, 1.4], atol=1e-6)
    found = losses.capacity_penalty(KL, capacity=2.2, constraint_on="batch_mean")
    np.testing.assert_allclose(found, [-1.1, 0.0, 1.4], atol=1e-6)
    found = losses.capacity_penalty(KL, capacity=3.3, constraint_on="batch_mean")
    np.testing.assert_allclose(found, [2.2, 1.1, -0.3], atol=1e-6)


def test_an_example_constraint_ignores_the_rest_of_the_batch():
    for options in ({"free_bits": 0.5}, {"capacity": 2.0}):
        whole = losses.negative_elbo(LOG_LIKELIHOOD, KL, **options).loss
        alone = losses.negative_elbo(LOG_LIKELIHOOD[1:2], KL[1:2], **options).loss
        np.testing.assert_array_equal(whole[1:2], alone)


def test_zero_capacity_and_zero_free_bits_are_the_plain_objective():
    plain = losses.negative_elbo(LOG_LIKELIHOOD, KL).loss
    for options in ({"free_bits": 0.0}, {"capacity": 0.0}):
        found = losses.negative_elbo(LOG_LIKELIHOOD, KL, **options).loss
        np.testing.assert_allclose(found, plain, rtol=1e-6)


def test_a_nan_is_not_hidden_by_the_floor():
    kl = KL.at[1, 0].set(jnp.nan)
    loss = losses.negative_elbo(LOG_LIKELIHOOD, kl, free_bits=0.5).loss
    np.testing.assert_array_equal(jnp.isnan(loss), [False, True, False])


@pytest.mark.parametrize("free_bits", [-1.0, math.nan, math.inf])
def test_free_bits_that_are_no_floor_are_refused(free_bits):
    with pytest.raises(
        ValueError, match=f"free_bits must be at least 0 nats and .*, got {free_bits}"
    ):
        losses.negative_elbo(LOG_LIKELIHOOD, KL, free_bits=free_bits)


def test_free_bits_with_a_capacity_are_refused():
    with pytest.raises(ValueError, match=r"free_bits=0.5 and capacity=5.0; leave one"):
        losses.negative_elbo(LOG_LIKELIHOOD, KL, free_bits=0.5, capacity=5.0)


# Unwrapped, because the shape checks of the test run would speak first.


@pytest.mark.parametrize("options", [{}, {"free_bits": 0.5}, {"capacity": 2.0}])
def test_an_unknown_constraint_is_refused_whether_or_not_it_is_used(options):
    with pytest.raises(ValueError, match="one of example, batch_mean, got 'batch'"):
        inspect.unwrap(losses.negative_elbo)(
            LOG_LIKELIHOOD, KL, constraint_on="batch", **options
        )


def test_a_capacity_of_summed_rates_and_an_unknown_constraint_are_refused():
    penalty = inspect.unwrap(losses.capacity_penalty)
    with pytest.raises(ValueError, match=r"^capacity_penalty: .* got shape \(3,\)"):
        penalty(KL.sum(1), capacity=2.0, constraint_on="example")
    with pytest.raises(ValueError, match=r"^capacity_penalty: .* got 'batch'"):
        penalty(KL, capacity=2.0, constraint_on="batch")


@pytest.mark.parametrize("logvar", [jnp.zeros((1, 2)), jnp.zeros(2), jnp.zeros(())])
def test_mean_and_logvar_do_not_broadcast(logvar):
    with pytest.raises(
        ValueError, match=r"mean and logvar must have equal shapes, got \(3, 2\) and "
    ):
        inspect.unwrap(losses.gaussian_kl)(jnp.zeros((3, 2)), logvar)


@pytest.mark.parametrize(
    ("log_likelihood", "kl"),
    [((3, 1), (3, 2)), ((1,), (3, 2)), ((), (3, 2)), ((3,), (3,)), ((3,), (2, 3, 2))],
)
def test_an_elbo_of_other_shapes_is_refused(log_likelihood, kl):
    with pytest.raises(ValueError, match=r"log_likelihood must be \[batch\] and kl_"):
        inspect.unwrap(losses.negative_elbo)(jnp.zeros(log_likelihood), jnp.zeros(kl))


# Importance-weighted bound


def test_a_log_weight_known_answer():
    # Noise (1, -2) of mean (1, 2) and deviations (2, 3): z = (3, -4). log p(z) - log
    # q(z) is (1 - 9) / 2 + log 2 and (4 - 16) / 2 + log 3.
    found = losses.log_importance_weight(
        jnp.array([-5.0]),
        jnp.array([[3.0, -4.0]]),
        jnp.array([[1.0, -2.0]]),
        jnp.log(jnp.array([[4.0, 9.0]])),
    )
    np.testing.assert_allclose(found, [-5 - 4 - 6 + math.log(6)], rtol=1e-6)


def test_a_log_weight_is_the_joint_over_the_posterior():
    mean, logvar, noise = jax.random.normal(jax.random.key(0), (3, 5, 50, 3))
    log_likelihood = jax.random.normal(jax.random.key(1), (5, 50))
    latents = distributions.reparameterise(mean, logvar, noise)
    prior = distributions.normal_log_prob(latents, 0.0, 0.0).sum(-1)
    posterior = distributions.normal_log_prob(latents, mean, logvar).sum(-1)
    found = losses.log_importance_weight(log_likelihood, latents, noise, logvar)
    np.testing.assert_allclose(found, log_likelihood + prior - posterior, atol=1e-4)


def test_log_weights_of_other_shapes_are_refused():
    weight = inspect.unwrap(losses.log_importance_weight)
    rows, one = jnp.zeros((3, 2)), jnp.zeros((1, 2))
    with pytest.raises(ValueError, match=r"latents and noise and logvar must have"):
        weight(jnp.zeros(3), rows, one, rows)
    with pytest.raises(ValueError, match=r"each sample, \(3,\), got shape \(3, 2\)"):
        weight(rows, rows, rows, rows)


def test_one_sample_gives_the_elbo():
    log_weights = jnp.array([[-3.0, -700.0, 5.0]])
    bound = losses.importance_weighted_bound(log_weights)
    np.testing.assert_allclose(bound, log_weights[0], rtol=1e-6)


def test_bound_is_the_log_of_the_mean_weight():
    weights = jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 12.0]])
    bound = losses.importance_weighted_bound(jnp.log(weights))
    np.testing.assert_allclose(bound, np.log([3.0, 6.0]), rtol=1e-6)
    # Weights far below the smallest float32 only shift it.
    shifted = losses.importance_weighted_bound(jnp.log(weights) - 1000)
    np.testing.assert_allclose(shifted, np.log([3.0, 6.0]) - 1000, rtol=1e-6)


def test_bound_rises_with_the_number_of_samples_towards_the_evidence():
    # Log-weights N(-s^2 / 2, s^2) have mean weight 1: the evidence is 0 nats.
    spread, repetitions = 1.5, 20_000
    noise = jax.random.normal(jax.random.key(1), (64, repetitions))
    log_weights = spread * noise - spread**2 / 2
    bounds = [
        losses.importance_weighted_bound(log_weights[:k]).mean() for k in (1, 4, 16, 64)
    ]
    np.testing.assert_allclose(bounds[0], -(spread**2) / 2, atol=0.05)
    assert np.all(np.diff(bounds) > 0.05)
    assert -0.1 < bounds[-1] < 0


# The linear Gaussian VAE: the one whose likelihood and posterior are known


class ProbabilisticPca:
    """x = W z + N(0, exp(logvar)) with orthogonal columns: a diagonal posterior."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        basis, _ = np.linalg.qr(rng.normal(size=(6, 3)))
        self.weight = basis * np.array([2.0, 1.0, 0.3])
        self.logvar = -0.7
        self.images = rng.normal(size=(4, 6)) * 1.5

    def exact_log_likelihood(self):
        covariance = self.weight @ self.weight.T + np.exp(self.logvar) * np.eye(6)
        _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
        inverse = np.linalg.inv(covariance)
        distance = np.einsum("bi,ij,bj->b", self.images, inverse, self.images)
        return -0.5 * (log_determinant + distance)

    def exact_posterior(self):
        noise = np.exp(self.logvar)
        precision = 1 + np.square(self.weight).sum(axis=0) / noise
        mean = self.images @ self.weight / noise / precision
        logvar = np.broadcast_to(-np.log(precision), mean.shape)
        return jnp.asarray(mean, jnp.float32), jnp.asarray(logvar, jnp.float32)

    def log_likelihood(self, latents):
        images = jnp.asarray(self.images, jnp.float32)
        mean = latents @ jnp.asarray(self.weight.T, jnp.float32)
        return losses.gaussian_log_likelihood(images, mean, logvar=self.logvar)

    def elbo(self, mean, logvar):
        # At mean +- sqrt(latents) deviations, one latent at a time, the average of a
        # quadratic is its expectation: no sampling error.
        spread = math.sqrt(3) * jnp.exp(logvar / 2)
        nodes = [
            mean + side * spread * jnp.eye(3)[latent : latent + 1]
            for latent in range(3)
            for side in (-1, 1)
        ]
        expected = jnp.stack([self.log_likelihood(node) for node in nodes]).mean(axis=0)
        return -losses.negative_elbo(expected, losses.gaussian_kl(mean, logvar)).loss

    def log_weights(self, mean, logvar, *, samples, key):
        keys = jax.random.split(key, samples)

        def log_weight(key):
            z = distributions.sample_normal(mean, logvar, key=key)
            prior = distributions.normal_log_prob(z, 0.0, 0.0).sum(axis=-1)
            posterior = distributions.normal_log_prob(z, mean, logvar).sum(axis=-1)
            return self.log_likelihood(z) + prior - posterior

        return jax.jit(jax.vmap(log_weight))(keys)


@pytest.mark.parametrize("seed", [0, 1])
def test_elbo_at_the_exact_posterior_is_the_exact_log_likelihood(seed):
    model = ProbabilisticPca(seed)
    np.testing.assert_allclose(
        model.elbo(*model.exact_posterior()), model.exact_log_likelihood(), rtol=1e-5
    )


def test_elbo_falls_short_by_the_kl_to_the_exact_posterior():
    model = ProbabilisticPca(2)
    exact_mean, exact_logvar = model.exact_posterior()
    mean, logvar = exact_mean + 0.4, exact_logvar - 0.5
    gap = distributions.normal_kl(mean, logvar, exact_mean, exact_logvar).sum(axis=-1)
    np.testing.assert_allclose(
        model.elbo(mean, logvar), model.exact_log_likelihood() - gap, rtol=1e-5
    )


def test_every_importance_weight_at_the_exact_posterior_is_the_likelihood():
    model = ProbabilisticPca(3)
    log_weights = model.log_weights(
        *model.exact_posterior(), samples=5, key=jax.random.key(2)
    )
    exact = model.exact_log_likelihood()
    np.testing.assert_allclose(log_weights, np.tile(exact, (5, 1)), rtol=1e-5)
    np.testing.assert_allclose(
        losses.importance_weighted_bound(log_weights), exact, rtol=1e-5
    )


def test_importance_weighting_closes_the_gap_of_a_wrong_posterior():
    model = ProbabilisticPca(4)
    mean, logvar = model.exact_posterior()
    wider = (mean + 0.3, logvar + 0.5)
    log_weights = model.log_weights(*wider, samples=20_000, key=jax.random.key(3))
    exact = model.exact_log_likelihood()
    np.testing.assert_allclose(log_weights.mean(axis=0), model.elbo(*wider), atol=0.05)
    np.testing.assert_allclose(
        losses.importance_weighted_bound(log_weights), exact, atol=0.05
    )


# Everything


def every_function():
    return {
        "gaussian_kl": (losses.gaussian_kl, (KL, KL)),
        "plain": (losses.negative_elbo, (LOG_LIKELIHOOD, KL)),
        "free_bits": (
            lambda *parts: losses.negative_elbo(
                *parts, free_bits=0.5, constraint_on="batch_mean"
            ),
            (LOG_LIKELIHOOD, KL),
        ),
        "capacity": (
            lambda *parts: losses.negative_elbo(*parts, capacity=2.0),
            (LOG_LIKELIHOOD, KL),
        ),
        "importance_weighted_bound": (losses.importance_weighted_bound, (KL,)),
    }


@pytest.mark.parametrize("name", every_function())
def test_half_precision_in_is_float32_inside_and_out(name):
    function, arguments = every_function()[name]
    half = [x.astype(jnp.bfloat16) for x in arguments]
    found = jax.tree.leaves(function(*half))
    wide = jax.tree.leaves(function(*(x.astype(jnp.float32) for x in half)))
    for from_half, from_wide in zip(found, wide, strict=True):
        assert from_half.dtype == jnp.float32
        np.testing.assert_array_equal(from_half, from_wide)


@pytest.mark.parametrize("name", every_function())
def test_jit_and_vmap_change_nothing(name):
    function, arguments = every_function()[name]
    expected = function(*arguments)
    stacked = [jnp.stack([x, x]) for x in arguments]
    by_jit = jax.jit(function)(*arguments)
    by_vmap = jax.tree.map(lambda x: x[1], jax.vmap(function)(*stacked))
    for found in (by_jit, by_vmap):
        for one, other in zip(
            jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_beta_and_capacity_may_be_traced():
    @jax.jit
    def loss(beta, capacity):
        return losses.negative_elbo(
            LOG_LIKELIHOOD, KL, beta=beta, capacity=capacity
        ).loss

    np.testing.assert_allclose(
        loss(3.0, 2.0),
        losses.negative_elbo(LOG_LIKELIHOOD, KL, beta=3.0, capacity=2.0).loss,
        rtol=1e-6,
    )


def test_free_bits_may_be_traced():
    floored = jax.jit(
        lambda bits: losses.negative_elbo(LOG_LIKELIHOOD, KL, free_bits=bits).loss
    )
    for bits in (0.0, 0.6):
        plain = losses.negative_elbo(LOG_LIKELIHOOD, KL, free_bits=bits).loss
        np.testing.assert_allclose(floored(bits), plain, rtol=1e-6)


@pytest.mark.parametrize("name", ["beta", "free_bits", "capacity"])
def test_weights_are_single_numbers(name):
    # [batch 1] would make a loss [batch batch].
    with pytest.raises(ValueError, match=rf": {name} must be one number, got shape"):
        inspect.unwrap(losses.negative_elbo)(
            LOG_LIKELIHOOD, KL, **{name: jnp.ones((len(KL), 1))}
        )
