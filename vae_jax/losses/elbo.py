"""The evidence lower bound, the ways to weigh its rate, and a tighter bound."""

import math
from typing import Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from vae_jax.arrays import (
    at_least_float32,
    known,
    require_choice,
    require_equal_shapes,
    require_scalar,
)
from vae_jax.distributions import normal_kl

ConstraintOn = Literal["example", "batch_mean"]


class NegativeElbo(NamedTuple):
    """The objective and the parts it was made of, per example, in nats.

    The parts are the plain ones: -(distortion + rate) is the lower bound whatever the
    objective did to them.
    """

    loss: Float[Array, " batch"]
    distortion: Float[Array, " batch"]
    rate: Float[Array, " batch"]


def gaussian_kl(
    mean: Float[Array, "*batch latent"], logvar: Float[Array, "*batch latent"]
) -> Float[Array, "*batch latent"]:
    """KL(N(mean, exp(logvar)) || N(0, 1)) of each latent, in nats.

    Raises:
        ValueError: If the shapes differ.

    Source: Kingma and Welling 2014, appendix B.
    """
    require_equal_shapes("gaussian_kl", mean=mean, logvar=logvar)
    return normal_kl(mean, logvar, 0.0, 0.0)


def negative_elbo(
    log_likelihood: Float[Array, " batch"],
    kl_per_latent: Float[Array, "batch latent"],
    *,
    beta: ScalarLike = 1.0,
    free_bits: ScalarLike = 0.0,
    capacity: ScalarLike | None = None,
    constraint_on: ConstraintOn = "example",
) -> NegativeElbo:
    """Distortion plus weighted rate, an upper bound on -log p(x) at the defaults.

    Args:
        log_likelihood: log p(x | z), in nats.
        kl_per_latent: KL of each latent to its prior, in nats.
        beta: Weight of the rate (Higgins et al. 2017); the gamma of `capacity`.
        free_bits: Nats each latent may use for nothing, as max(free_bits, KL): no
            gradient below it, all of it from there on (Kingma et al. 2016, appendix C).
        capacity: Nats C that the whole rate is pulled towards, as |rate - C|: see
            `capacity_penalty`.
        constraint_on: Whether the floor or the capacity holds for each example's KL or
            for its mean over the batch, as Kingma et al. have it and as most
            implementations of the capacity do; an example's loss then depends on its
            batch, and only the mean of the losses is that objective.

    Raises:
        ValueError: If free_bits is negative or not finite, or is combined with a
            capacity (which of a number inside jit is not known: there it is refused),
            constraint_on is unknown, a weight is no single number, or the shapes are
            not [batch] and [batch latent].
    """
    if kl_per_latent.ndim != 2 or log_likelihood.shape != kl_per_latent.shape[:1]:
        raise ValueError(
            "negative_elbo: log_likelihood must be [batch] and kl_per_latent [batch "
            f"latent], got {log_likelihood.shape} and {kl_per_latent.shape}; sum the "
            "likelihood over pixels, and the KL not at all."
        )
    require_choice("negative_elbo", "constraint_on", constraint_on, ConstraintOn)
    require_scalar("negative_elbo", beta=beta, free_bits=free_bits, capacity=capacity)
    has_floor = _has_floor(free_bits, capacity)
    distortion = -at_least_float32(log_likelihood)
    kl_per_latent = at_least_float32(kl_per_latent)
    rate = kl_per_latent.sum(axis=-1)
    if capacity is not None:
        penalty = capacity_penalty(
            kl_per_latent, capacity=capacity, constraint_on=constraint_on
        )
    elif has_floor:
        penalty = _floored(kl_per_latent, free_bits, constraint_on).sum(axis=-1)
    else:
        penalty = rate
    return NegativeElbo(distortion + beta * penalty, distortion, rate)


def capacity_penalty(
    kl_per_latent: Float[Array, "batch latent"],
    *,
    capacity: ScalarLike,
    constraint_on: ConstraintOn,
) -> Float[Array, " batch"]:
    """|rate - capacity|, the distance of the rate to the nats it may have.

    Args:
        kl_per_latent: KL of each latent to its prior, in nats; the rate is their sum.
        capacity: In nats, usually risen by a schedule such as `linear_beta`.
        constraint_on: "example" for the distance of each example's rate, in nats;
            "batch_mean" for values whose mean is the distance of the mean rate, and of
            which some may be negative.

    Raises:
        ValueError: If constraint_on is unknown or the KL is not [batch latent].

    Source: Burgess et al. 2018, Eq. 8.
    """
    require_choice("capacity_penalty", "constraint_on", constraint_on, ConstraintOn)
    require_scalar("capacity_penalty", capacity=capacity)
    if kl_per_latent.ndim != 2:
        raise ValueError(
            "capacity_penalty: kl_per_latent must be [batch latent], got shape "
            f"{kl_per_latent.shape}; do not sum it."
        )
    rate = at_least_float32(kl_per_latent).sum(axis=-1)
    match constraint_on:
        case "example":
            return jnp.abs(rate - capacity)
        case "batch_mean":
            # One sign for the whole batch makes the batch mean |mean rate - capacity|.
            return jnp.sign(rate.mean() - capacity) * (rate - capacity)
        case _:
            assert_never(constraint_on)


def log_importance_weight(
    log_likelihood: Float[Array, "*batch"],
    latents: Float[Array, "*batch latent"],
    noise: Float[Array, "*batch latent"],
    logvar: Float[Array, "*batch latent"],
) -> Float[Array, "*batch"]:
    """Log p(x, z) - log q(z | x) at z = mean + exp(logvar / 2) noise, in nats.

    The prior is standard normal; the mean is in the latents.

    Args:
        log_likelihood: log p(x | z), in nats.
        latents: Samples z of the posterior N(mean, exp(logvar)).
        noise: What they were made of, by `distributions.reparameterise`.
        logvar: Of the posterior.

    Raises:
        ValueError: If the shapes are not [*batch] and three times [*batch latent].

    Source: Burda et al. 2016 (IWAE), Eq. 8: what it averages.
    """
    require_equal_shapes(
        "log_importance_weight", latents=latents, noise=noise, logvar=logvar
    )
    if log_likelihood.shape != latents.shape[:-1]:
        raise ValueError(
            "log_importance_weight: log_likelihood must have one value for each "
            f"sample, {latents.shape[:-1]}, got shape {log_likelihood.shape}; sum it "
            "over pixels."
        )
    latents, noise, logvar = map(at_least_float32, (latents, noise, logvar))
    log_ratio = 0.5 * (jnp.square(noise) - jnp.square(latents) + logvar).sum(axis=-1)
    return at_least_float32(log_likelihood) + log_ratio


def importance_weighted_bound(
    log_weights: Float[Array, "samples batch"],
) -> Float[Array, " batch"]:
    """The log of the mean weight, a lower bound on log p(x), in nats.

    `log_weights` is `log_importance_weight` of `samples` draws from the posterior. One
    sample gives the ELBO; the expectation only rises with more.

    Source: Burda et al. 2016 (IWAE), Eq. 8.
    """
    log_weights = at_least_float32(log_weights)
    return jax.nn.logsumexp(log_weights, axis=0) - math.log(log_weights.shape[0])


def _has_floor(free_bits: ScalarLike, capacity: ScalarLike | None) -> bool:
    """Whether a rate has a floor, which then is its only constraint."""
    floor = known(free_bits)
    # Written so that a NaN fails it.
    if floor is not None and not 0 <= floor < math.inf:
        raise ValueError(
            "negative_elbo: free_bits must be at least 0 nats and finite, got "
            f"{free_bits}."
        )
    has_floor = floor is None or bool(floor)
    if has_floor and capacity is not None:
        raise ValueError(
            "negative_elbo: free_bits and capacity are two rules for one rate, got "
            f"free_bits={free_bits} and capacity={capacity}; leave one out."
        )
    return has_floor


def _floored(
    kl_per_latent: Float[Array, "batch latent"],
    floor: ScalarLike,
    constraint_on: ConstraintOn,
) -> Float[Array, "batch latent"]:
    match constraint_on:
        case "example":
            compared = kl_per_latent
        case "batch_mean":
            # Replacing whole columns makes the batch mean max(floor, mean KL).
            mean = kl_per_latent.mean(axis=0, keepdims=True)
            compared = jnp.broadcast_to(mean, kl_per_latent.shape)
        case _:
            assert_never(constraint_on)
    # Not jnp.maximum, which passes half of the gradient on a tie.
    return jnp.where(compared < floor, floor, kl_per_latent)
