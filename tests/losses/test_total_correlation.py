import functools
import inspect
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax import losses

few = settings(max_examples=5, deadline=None)
SIZE = 737_280


def some_posteriors(batch=5, latents=3, *, seed=0):
    """A sample, mean and log-variance of each example."""
    rng = np.random.default_rng(seed)
    mean, logvar, noise = rng.normal(size=(3, batch, latents)).astype(np.float32)
    return mean + np.exp(logvar / 2) * noise, mean, logvar


@functools.partial(jax.jit, static_argnames=("dataset_size", "estimator"))
def decompose(latents, mean, logvar, **options):
    return losses.decompose_rate(latents, mean, logvar, **options)


def log_prob(z, mean, logvar):
    mean, logvar = np.float64(mean), np.float64(logvar)
    return -0.5 * (np.log(2 * np.pi) + logvar + (z - mean) ** 2 / np.exp(logvar))


def slow_twin(latents, mean, logvar, weights):
    """Each part by loops, from the weight of each component at each sample."""
    batch, number = latents.shape
    parts = np.zeros((3, batch))
    for i, z in enumerate(latents):
        components = [
            [math.exp(log_prob(z[d], mean[j, d], logvar[j, d])) for d in range(number)]
            for j in range(batch)
        ]
        joint = sum(
            w * math.prod(c) for w, c in zip(weights[i], components, strict=True)
        )
        marginals = [
            sum(w * c[d] for w, c in zip(weights[i], components, strict=True))
            for d in range(number)
        ]
        own = sum(math.log(c) for c in components[i])
        prior = sum(log_prob(z[d], 0, 0) for d in range(number))
        product = sum(math.log(m) for m in marginals)
        parts[:, i] = own - math.log(joint), math.log(joint) - product, product - prior
    return parts


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_parts_agree_with_a_float64_loop(estimator):
    latents, mean, logvar = some_posteriors()
    weights = np.full((5, 5), 1 / (5 * 100))
    if estimator == "mss":
        # Four others, M = 4: one of them weighs (100 - 4) / (100 * 4).
        weights = np.full((5, 5), 1 / 4)
        for i in range(5):
            weights[i, i], weights[i, (i + 1) % 5] = 1 / 100, 96 / 400
    found = decompose(latents, mean, logvar, dataset_size=100, estimator=estimator)
    expected = slow_twin(latents, mean, logvar, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@few
@given(batch=st.integers(2, 12), more=st.integers(0, 10**6), latents=st.integers(1, 12))
def test_stratified_estimates_are_zero_where_all_posteriors_agree(batch, more, latents):
    z = np.random.default_rng(batch).normal(size=(batch, latents)).astype(np.float32)
    same = np.broadcast_to(np.float32(0.3), z.shape)
    parts = decompose(z, same, same - 1, dataset_size=batch + more, estimator="mss")
    np.testing.assert_allclose(parts.total_correlation, 0, atol=2e-5)
    np.testing.assert_allclose(parts.mutual_information, 0, atol=2e-5)


def test_weighted_estimates_are_off_by_logs_of_the_size_where_all_posteriors_agree():
    z = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)
    same = np.zeros_like(z)
    parts = decompose(z, same, same, dataset_size=SIZE, estimator="mws")
    np.testing.assert_allclose(parts.total_correlation, 9 * math.log(SIZE), rtol=1e-6)
    np.testing.assert_allclose(parts.mutual_information, math.log(SIZE), rtol=1e-5)


@jax.jit
def total_correlation_without_weights(latents, mean, logvar):
    """As disentanglement_lib has it: every constant left out."""
    pairwise = jax.vmap(
        lambda z: (
            -0.5
            * (jnp.log(2 * jnp.pi) + logvar + (z[None] - mean) ** 2 * jnp.exp(-logvar))
        )
    )(latents)
    joint = jax.nn.logsumexp(pairwise.sum(-1), axis=1)
    return joint - jax.nn.logsumexp(pairwise, axis=1).sum(-1)


def test_without_weights_the_total_correlation_falls_short_where_all_posteriors_agree():
    # The sum over the batch stands once for the joint and once for each marginal.
    batch, latents = 6, 10
    z = np.random.default_rng(0).normal(size=(batch, latents)).astype(np.float32)
    same = jnp.full(z.shape, 0.3)
    np.testing.assert_allclose(
        total_correlation_without_weights(z, same, same - 1),
        -(latents - 1) * math.log(batch),
        rtol=1e-5,
    )


def test_weighted_estimate_differs_from_the_unweighted_one_by_the_stated_constant():
    posteriors = [jnp.asarray(x) for x in some_posteriors(8, 4)]

    @jax.jit
    def ours(*posteriors):
        parts = losses.decompose_rate(*posteriors, dataset_size=SIZE, estimator="mws")
        return parts.total_correlation

    constant = (4 - 1) * math.log(8 * SIZE)
    np.testing.assert_allclose(
        ours(*posteriors) - total_correlation_without_weights(*posteriors),
        constant,
        rtol=1e-5,
    )
    for mine, theirs in zip(
        *(
            jax.grad(lambda *p, f=f: f(*p).mean(), argnums=(0, 1, 2))(*posteriors)
            for f in (ours, total_correlation_without_weights)
        ),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@few
@given(batch=st.integers(2, 40), more=st.integers(0, 10**6))
def test_stratified_weights_sum_to_one_with_1_over_n_on_the_diagonal(batch, more):
    weights = losses.stratified_weights(batch, batch + more)
    np.testing.assert_allclose(np.diag(weights), 1 / (batch + more), rtol=1e-6)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    assert (weights >= 0).all()


def test_stratified_estimate_is_exact_on_average_over_batches():
    # All batches of 3 from 5 examples that begin with the sample's own.
    density = np.random.default_rng(0).uniform(size=5)
    row = np.asarray(losses.stratified_weights(3, 5))[0]
    estimates = [
        row @ density[[0, *others]] for others in itertools.permutations(range(1, 5), 2)
    ]
    np.testing.assert_allclose(np.mean(estimates), density.mean(), rtol=1e-6)


def test_parts_of_a_correlated_gaussian_are_its_closed_forms():
    # Means N(0, S - v I) and posterior variance v: the aggregate is N(0, S).
    correlation, variance, batch = 0.8, 0.15, 2000
    covariance = np.array([[1, correlation], [correlation, 1]])
    rng = np.random.default_rng(0)
    mean = rng.multivariate_normal([0, 0], covariance - variance * np.eye(2), batch)
    latents = mean + math.sqrt(variance) * rng.normal(size=mean.shape)
    found = decompose(
        latents.astype(np.float32),
        mean.astype(np.float32),
        np.full(mean.shape, math.log(variance), np.float32),
        dataset_size=10**9,
        estimator="mss",
    )
    determinant = 1 - correlation**2
    assert found.total_correlation.shape == (batch,)
    expected = {
        "mutual_information": 0.5 * math.log(determinant / variance**2),
        "total_correlation": -0.5 * math.log(determinant),
        "dimension_wise_kl": 0.0,
    }
    for name, nats in expected.items():
        values = getattr(found, name)
        error = 4 * float(values.std()) / math.sqrt(batch)
        assert abs(float(values.mean()) - nats) < error < 0.1, name


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_parts_sum_to_the_sampled_rate(estimator):
    latents, mean, logvar = some_posteriors()
    parts = decompose(latents, mean, logvar, dataset_size=50, estimator=estimator)
    ratio = log_prob(latents, mean, logvar) - log_prob(latents, 0, 0)
    np.testing.assert_allclose(np.sum(parts, 0), ratio.sum(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("estimator", ["mws", "mss"])
@pytest.mark.parametrize(("batch", "size"), [(1, 10), (5, 4)])
def test_sizes_that_cannot_be_are_refused(estimator, batch, size):
    with pytest.raises(ValueError, match=f"decompose_rate: .* got {batch} of {size};"):
        decompose(*some_posteriors(batch), dataset_size=size, estimator=estimator)


@pytest.mark.parametrize(("batch", "size"), [(1, 5), (6, 5)])
def test_weights_of_sizes_that_cannot_be_are_refused_by_their_own_name(batch, size):
    with pytest.raises(ValueError, match=f"stratified_weights: .* got {batch} of"):
        losses.stratified_weights(batch, size)


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_half_precision_in_is_float32_inside_and_out(estimator):
    half = [jnp.asarray(x, jnp.bfloat16) for x in some_posteriors()]
    options = {"dataset_size": 100, "estimator": estimator}
    wide = decompose(*(x.astype(jnp.float32) for x in half), **options)
    for from_half, from_wide in zip(decompose(*half, **options), wide, strict=True):
        assert from_half.dtype == jnp.float32
        np.testing.assert_array_equal(from_half, from_wide)


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_posteriors_of_no_width_are_told_apart_for_certain(estimator):
    # Each sample is its own mean, and exp(90) is no float32.
    _, mean, _ = some_posteriors()
    parts = decompose(
        mean, mean, jnp.full(mean.shape, -90.0), dataset_size=100, estimator=estimator
    )
    own_weight = {"mws": 1 / (5 * 100), "mss": 1 / 100}[estimator]
    np.testing.assert_allclose(
        parts.mutual_information, -math.log(own_weight), rtol=1e-4
    )
    np.testing.assert_allclose(
        parts.total_correlation, -2 * math.log(own_weight), rtol=1e-4
    )
    assert jnp.isfinite(parts.dimension_wise_kl).all()


def test_shapes_must_agree():
    latents, mean, _ = some_posteriors()
    # Unwrapped, because the shape checks of the test run would speak first.
    unchecked = inspect.unwrap(losses.decompose_rate)
    with pytest.raises(ValueError, match="decompose_rate: latents and mean and logvar"):
        unchecked(latents, mean, mean[:, :2], dataset_size=9, estimator="mss")


def test_an_unknown_estimator_is_refused():
    wanted = "^decompose_rate: estimator must be one of mws, mss, got 'mean'"
    with pytest.raises(ValueError, match=wanted):
        inspect.unwrap(losses.decompose_rate)(
            *some_posteriors(), dataset_size=100, estimator="mean"
        )


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_the_size_of_the_data_set_may_be_traced(estimator):
    arrays = [jnp.asarray(x) for x in some_posteriors()]
    traced = jax.jit(
        lambda size: losses.decompose_rate(
            *arrays, dataset_size=size, estimator=estimator
        )
    )
    for size in (100, 1_000_000_000):  # times a batch it is beyond 32 bits
        plain = losses.decompose_rate(*arrays, dataset_size=size, estimator=estimator)
        np.testing.assert_allclose(traced(size), plain, rtol=1e-4, atol=1e-5)


def test_posteriors_of_no_width_at_all_have_finite_parts():
    # exp(90) is no float32, and a difference of 0 would be multiplied by it.
    mean = jnp.array([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    logvar = jnp.full((3, 2), -180.0)
    parts = losses.decompose_rate(mean, mean, logvar, dataset_size=10, estimator="mss")
    assert np.isfinite(np.stack(parts)).all()
