"""The rate taken apart, estimated from one batch of posteriors."""

import math
from typing import Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import (
    IntLike,
    at_least_float32,
    known,
    require_choice,
    require_equal_shapes,
)
from vae_jax.distributions import normal_log_prob

Estimator = Literal["mws", "mss"]


class RateParts(NamedTuple):
    """Their sum is log q(z | x) - log p(z), whose expectation is the rate; in nats."""

    mutual_information: Float[Array, " batch"]
    """log q(z | x) - log q(z), of the latents with the index of the example."""
    total_correlation: Float[Array, " batch"]
    """log q(z) - sum_d log q(z_d), of the latents with each other."""
    dimension_wise_kl: Float[Array, " batch"]
    """sum_d log q(z_d) - log p(z_d), of each latent to its prior."""


def decompose_rate(
    latents: Float[Array, "batch latent"],
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    *,
    dataset_size: IntLike,
    estimator: Estimator,
) -> RateParts:
    """Index-code mutual information, total correlation and dimension-wise KL, in nats.

    The aggregate posterior q(z) = E_x q(z | x) is estimated at each example's sample
    from the posteriors of its batch: "mws" by minibatch-weighted sampling (biased: its
    log is too small by log(dataset_size) where all posteriors agree), "mss" by
    minibatch-stratified sampling, whose weights sum to one. Both are normalised. The
    total correlation by "mws" is that of disentanglement_lib, which leaves the weights
    out, plus the constant (latent - 1) log(batch dataset_size).

    Args:
        latents: One sample of each example's posterior.
        mean: Of the posteriors N(mean, exp(logvar)).
        logvar: Of the posteriors.
        dataset_size: Examples that the batch was drawn from; may be traced.
        estimator: Of q(z) and of each q(z_d).

    Raises:
        ValueError: If the shapes differ, the batch has one example or more than
            dataset_size, or the estimator is unknown.

    Source: Chen et al. 2018 (beta-TCVAE), Eq. 2 and appendix C.
    """
    require_choice("decompose_rate", "estimator", estimator, Estimator)
    require_equal_shapes("decompose_rate", latents=latents, mean=mean, logvar=logvar)
    _require_sizes("decompose_rate", len(latents), dataset_size)
    log_weights = _log_weights(len(latents), dataset_size, estimator)

    def log_prob_under_each(z: Array) -> Array:
        return normal_log_prob(jnp.broadcast_to(z, mean.shape), mean, logvar)

    pairwise = jax.vmap(log_prob_under_each)(latents)  # [batch component latent]
    # The weight of a component once, not once for each latent.
    log_joint = jax.nn.logsumexp(log_weights + pairwise.sum(-1), axis=1)
    log_marginals = jax.nn.logsumexp(log_weights[:, :, None] + pairwise, axis=1).sum(-1)
    log_conditional = normal_log_prob(latents, mean, logvar).sum(-1)
    log_prior = normal_log_prob(latents, 0.0, 0.0).sum(-1)
    return RateParts(
        mutual_information=log_conditional - log_joint,
        total_correlation=log_joint - log_marginals,
        dimension_wise_kl=log_marginals - log_prior,
    )


def stratified_weights(
    batch: int, dataset_size: IntLike
) -> Float[Array, "batch batch"]:
    """Weight of each posterior (column) in the estimate of q(z) at a sample (row).

    A sample's own posterior is one of N, so it weighs 1/N. With M = batch - 1, one
    other weighs (N - M) / (N M) and the rest 1/M: a row sums to one, and its mean over
    the orders of the others is exact.

    Raises:
        ValueError: If not 2 <= batch <= dataset_size.

    Source: Chen et al. 2018, appendix C.2.
    """
    _require_sizes("stratified_weights", batch, dataset_size)
    others = batch - 1
    own = jnp.eye(batch, dtype=bool)
    next_one = jnp.roll(own, 1, axis=1)
    remainder = 1 / others - 1 / dataset_size
    weights = jnp.where(next_one, remainder, 1 / others)
    return jnp.where(own, 1 / dataset_size, weights)


def _log_weights(
    batch: int, dataset_size: IntLike, estimator: Estimator
) -> Float[Array, "batch batch"]:
    match estimator:
        case "mws":
            # Added, for a product of traced integers may overflow.
            log_weight = -math.log(batch) - jnp.log(at_least_float32(dataset_size))
            return jnp.full((batch, batch), log_weight)
        case "mss":
            return jnp.log(stratified_weights(batch, dataset_size))
        case _:
            assert_never(estimator)


def _require_sizes(function: str, batch: int, dataset_size: IntLike) -> None:
    size = known(dataset_size)
    if batch < 2 or (size is not None and batch > size):
        raise ValueError(
            f"{function}: wanted a batch of at least 2 examples and at most "
            f"dataset_size, got {batch} of {dataset_size}; dataset_size counts the "
            "whole training set."
        )
