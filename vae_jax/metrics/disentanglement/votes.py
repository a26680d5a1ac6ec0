"""Scores by votes: which latent, or which difference, gives a fixed factor away."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from vae_jax.metrics.disentanglement import classifiers
from vae_jax.metrics.disentanglement.factors import Codes, Factors, checked
from vae_jax.metrics.disentanglement.protocol import STANDARD, Protocol


class FactorVaeScore(NamedTuple):
    """Accuracy in [0, 1], and what it was read from."""

    score: Float[Array, ""]
    votes: Int[Array, "factor latent"]  # those that the classifier was fitted on
    factor: Int[Array, " latent"]  # that each latent stands for
    active: Bool[Array, " latent"]  # may vote
    std: Float[Array, " latent"]  # global


class BetaVaeScore(NamedTuple):
    """Accuracies in [0, 1] of the linear classifier."""

    score: Float[Array, ""]
    train_accuracy: Float[Array, ""]


def factor_vae_score(
    codes: Codes,
    factors: Factors,
    *,
    key: Key[Array, ""],
    protocol: Protocol = STANDARD,
    kl: Float[Array | np.ndarray, " latent"] | None = None,
) -> FactorVaeScore:
    """How well the latent that varies least, one factor being fixed, tells the factor.

    A vote is the latent of the smallest variance within a group that shares the value
    of one factor, over its global variance; each latent then stands for the factor
    that most of its votes were cast under, the first of equals. Variances divide by
    n - 1. Chance is 1 / factors. The columns of `votes` are all latents, also those
    that may not vote; where none may, the score is 0. A constant latent never votes.

    Args:
        codes: [example latent].
        factors: of the same examples.
        key: of the votes.
        protocol: their number, and which latents vote.
        kl: mean KL of each latent in nats, which `protocol.minimum_kl` asks for.

    Raises:
        ValueError: codes are not finite or not as many as examples, `kl` is missing.

    Source: Kim and Mnih 2018, ICML, section 4; details of `disentanglement_lib`.
    """
    codes = checked("factor_vae_score", codes, factors)
    if protocol.minimum_kl is not None and kl is None:
        raise ValueError(
            "factor_vae_score: this protocol lets latents vote by their KL, got none; "
            "give kl, the mean of each latent over the data in nats."
        )
    live = jnp.ones(codes.shape[1], bool)
    if protocol.minimum_kl is not None:
        live = jnp.asarray(kl) > protocol.minimum_kl
    return _factor_vae_score(codes, factors, live, key=key, protocol=protocol)


@functools.partial(jax.jit, static_argnames="protocol")
def _factor_vae_score(
    codes: Float[Array, "example latent"],
    factors: Factors,
    live: Bool[Array, " latent"],
    *,
    key: Key[Array, ""],
    protocol: Protocol,
) -> FactorVaeScore:
    variance_key, train_key, test_key = jax.random.split(key, 3)
    factors = factors.with_constants(protocol.constant_factors)
    variance = _global_variance(codes, protocol.variance_examples, key=variance_key)
    std = jnp.sqrt(variance)
    active = live & (std >= protocol.minimum_std) & (variance > 0)
    relative = jnp.where(active, variance, 1)

    def count(number: int, key: Key[Array, ""]) -> Int[Array, "factor latent"]:
        factor, group = _groups(factors, number, key=key, protocol=protocol)
        local = codes[group].var(axis=1, ddof=1) / relative[None]
        latent = jnp.argmin(jnp.where(active[None], local, jnp.inf), axis=1)
        empty = jnp.zeros((len(factors.sizes), codes.shape[1]), jnp.int32)
        return empty.at[factor, latent].add(1)

    votes = trial = count(protocol.votes, train_key)
    number = protocol.votes
    if protocol.evaluation_votes is not None:
        number = protocol.evaluation_votes
        trial = count(number, test_key)
    factor = votes.argmax(0)
    right = jnp.take_along_axis(trial, factor[None], axis=0).sum()
    score = jnp.where(active.any(), right / number, 0)
    return FactorVaeScore(score, votes * active[None], factor, active, std)


def _global_variance(
    codes: Float[Array, "example latent"], number: int | None, *, key: Key[Array, ""]
) -> Float[Array, " latent"]:
    if number is not None:
        codes = codes[jax.random.randint(key, (number,), 0, len(codes))]
    variance = codes.var(axis=0, ddof=1)
    # The mean of equal numbers is rounded: a constant would seem to vary a little.
    return jnp.where((codes == codes[:1]).all(0), 0, variance)


def _groups(
    factors: Factors, number: int, *, key: Key[Array, ""], protocol: Protocol
) -> tuple[Int[Array, " vote"], Int[Array, "vote group"]]:
    """The fixed factor of each vote, and a group that shares its value."""
    factor_key, first_key, others_key = jax.random.split(key, 3)
    count = len(factors.sizes)
    if protocol.balanced:
        factor = jnp.repeat(jnp.arange(count), number // count)
    else:
        factor = jax.random.randint(factor_key, (number,), 0, count)
    first = jax.random.randint(first_key, factor.shape, 0, factors.number)
    others = factors.matching(
        jnp.repeat(first, protocol.group - 1),
        jnp.repeat(factor, protocol.group - 1),
        key=others_key,
    )
    others = others.reshape(len(factor), protocol.group - 1)
    return factor, jnp.concatenate([first[:, None], others], axis=1)


def beta_vae_score(
    codes: Codes,
    factors: Factors,
    *,
    key: Key[Array, ""],
    protocol: Protocol = STANDARD,
) -> BetaVaeScore:
    """How well a linear classifier tells which factor two groups share pair by pair.

    It sees the mean absolute difference of the codes of `protocol.group` pairs, and is
    a logistic regression at the default penalty of scikit-learn. Of the protocol, the
    number of points and pairs apply; constant factors and pruning do not. Chance is
    1 / factors. The score saturates early: nearly every code of use reaches 1.

    Raises:
        ValueError: codes are not finite or not as many as examples.

    Source: Higgins et al. 2017, ICLR, section 3, as in `disentanglement_lib`.
    """
    codes = checked("beta_vae_score", codes, factors)
    return _beta_vae_score(codes, factors, key=key, protocol=protocol)


@functools.partial(jax.jit, static_argnames="protocol")
def _beta_vae_score(
    codes: Float[Array, "example latent"],
    factors: Factors,
    *,
    key: Key[Array, ""],
    protocol: Protocol,
) -> BetaVaeScore:
    count = len(factors.sizes)

    def points(number: int, key: Key[Array, ""]):
        factor_key, first_key, second_key = jax.random.split(key, 3)
        factor = jax.random.randint(factor_key, (number,), 0, count)
        pairs = number * protocol.group
        first = jax.random.randint(first_key, (pairs,), 0, factors.number)
        shared = jnp.repeat(factor, protocol.group)
        second = factors.matching(first, shared, key=second_key)
        difference = jnp.abs(codes[first] - codes[second])
        return difference.reshape(number, protocol.group, -1).mean(1), factor

    train_key, test_key = jax.random.split(key)
    train = points(protocol.votes, train_key)
    classifier = classifiers.fit_logistic(*train, size=count)
    trial = train
    if protocol.evaluation_votes is not None:
        trial = points(protocol.evaluation_votes, test_key)
    return BetaVaeScore(
        classifiers.accuracy(classifier, *trial),
        classifiers.accuracy(classifier, *train),
    )
