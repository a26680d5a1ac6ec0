"""Scores by votes: which latent, or which difference, gives a fixed factor away."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from vae_jax.metrics.disentanglement import classifiers
from vae_jax.metrics.disentanglement.checks import (
    checked_codes,
    checked_kl,
    require_two_factors,
)
from vae_jax.metrics.disentanglement.factors import Codes, Factors
from vae_jax.metrics.disentanglement.protocol import STANDARD, Protocol
from vae_jax.metrics.disentanglement.scaling import centred, is_constant


class FactorVaeScore(NamedTuple):
    """Accuracy in [0, 1], and what it was read from."""

    score: Float[Array, ""]
    votes: Int[Array, "factor latent"]  # those that the classifier was fitted on
    factor: Int[Array, " latent"]  # that each latent stands for
    active: Bool[Array, " latent"]  # may vote
    std: Float[Array, " latent"]  # global


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
        ValueError: codes are not finite or not as many as examples; there is only one
            factor, the constant ones counted; the protocol has fewer balanced votes
            than factors; `kl` is missing, not finite or of another shape.

    Source: Kim and Mnih 2018, ICML, section 4; details of `disentanglement_lib`.
    """
    codes = checked_codes("factor_vae_score", codes, factors)
    factor_count = protocol.constant_factors + len(factors.sizes)
    require_two_factors("factor_vae_score", factor_count)
    _require_votes("factor_vae_score", factor_count, protocol)
    if kl is not None:
        kl = checked_kl("factor_vae_score", kl, shape=codes.shape[1:])
    elif protocol.minimum_kl is not None:
        raise ValueError(
            "factor_vae_score: this protocol lets latents vote by their KL, got none; "
            "give kl, the mean of each latent over the data in nats."
        )
    has_kl = jnp.ones(codes.shape[1], bool)
    if kl is not None and protocol.minimum_kl is not None:
        has_kl = kl > protocol.minimum_kl
    return _factor_vae_score(codes, factors, has_kl, key=key, protocol=protocol)


@functools.partial(jax.jit, static_argnames="protocol")
def _factor_vae_score(
    codes: Float[Array, "example latent"],
    factors: Factors,
    has_kl: Bool[Array, " latent"],
    *,
    key: Key[Array, ""],
    protocol: Protocol,
) -> FactorVaeScore:
    variance_key, votes_key = jax.random.split(key)
    codes = centred(codes)
    factor_count = protocol.constant_factors + len(factors.sizes)
    variance = _global_variance(codes, protocol.variance_examples, key=variance_key)
    std = jnp.sqrt(variance)
    active = has_kl & (std >= protocol.minimum_std) & (variance > 0)

    factor, group = _groups(factors, factor_count, key=votes_key, protocol=protocol)
    local = codes[group].var(axis=1, ddof=1) / jnp.where(active, variance, 1)[None]
    latent = jnp.argmin(jnp.where(active[None], local, jnp.inf), axis=1)

    def counted(of: slice) -> Int[Array, "factor latent"]:
        empty = jnp.zeros((factor_count, codes.shape[1]), jnp.int32)
        return empty.at[factor[of], latent[of]].add(1)

    fitted, scored = _fitted_and_scored(factor_count, protocol)
    votes = counted(fitted)
    chosen = votes.argmax(0)
    right = jnp.take_along_axis(counted(scored), chosen[None], axis=0).sum()
    vote_count = protocol.evaluation_votes or protocol.votes
    score = jnp.where(active.any(), right / vote_count, 0)
    return FactorVaeScore(score, votes * active[None], chosen, active, std)


def _require_votes(function: str, factor_count: int, protocol: Protocol) -> None:
    """Raises a ValueError from `function` if balanced votes are too few to divide."""
    least = min(protocol.votes, protocol.evaluation_votes or protocol.votes)
    if protocol.balanced and least < factor_count:
        raise ValueError(
            f"{function}: balanced votes must be one for each of {factor_count} "
            f"factors at least, got {least}; ask for more."
        )


def _votes_cast(factor_count: int, protocol: Protocol) -> tuple[int, int]:
    """How many votes are cast to fit on, and then to score on."""
    wanted = protocol.votes, protocol.evaluation_votes or 0
    if not protocol.balanced:
        return wanted
    fitted, scored = (votes // factor_count * factor_count for votes in wanted)
    return fitted, scored


def _fitted_and_scored(factor_count: int, protocol: Protocol) -> tuple[slice, slice]:
    """Which of all votes are fitted, and which are scored."""
    if protocol.evaluation_votes is None:
        return slice(None), slice(None)
    fitted, _ = _votes_cast(factor_count, protocol)
    return slice(fitted), slice(fitted, None)


def _fixed_factors(
    factor_count: int, *, key: Key[Array, ""], protocol: Protocol
) -> Int[Array, " vote"]:
    """The fixed factor of each vote; those to score on come last."""
    cast = _votes_cast(factor_count, protocol)
    if protocol.balanced:
        every = jnp.arange(factor_count)
        return jnp.concatenate(
            [jnp.repeat(every, votes // factor_count) for votes in cast]
        )
    return jax.random.randint(key, (sum(cast),), 0, factor_count)


def _global_variance(
    codes: Float[Array, "example latent"], examples: int | None, *, key: Key[Array, ""]
) -> Float[Array, " latent"]:
    if examples is not None:
        codes = codes[jax.random.randint(key, (examples,), 0, len(codes))]
    return jnp.where(is_constant(codes), 0, codes.var(axis=0, ddof=1))


def _groups(
    factors: Factors, factor_count: int, *, key: Key[Array, ""], protocol: Protocol
) -> tuple[Int[Array, " vote"], Int[Array, "vote group"]]:
    """The fixed factor of each vote, and a group that shares its value.

    The constant factors come first; all examples share theirs.
    """
    factor_key, first_key, others_key, anyone_key = jax.random.split(key, 4)
    factor = _fixed_factors(factor_count, key=factor_key, protocol=protocol)
    first = jax.random.randint(first_key, factor.shape, 0, factors.number)
    varied = factor - protocol.constant_factors
    others = factors.matching(
        jnp.repeat(first, protocol.group - 1),
        jnp.repeat(jnp.maximum(varied, 0), protocol.group - 1),
        key=others_key,
    ).reshape(len(factor), protocol.group - 1)
    if protocol.constant_factors:
        anyone = jax.random.randint(anyone_key, others.shape, 0, factors.number)
        others = jnp.where(varied[:, None] < 0, anyone, others)
    return factor, jnp.concatenate([first[:, None], others], axis=1)


def beta_vae_score(
    codes: Codes,
    factors: Factors,
    *,
    key: Key[Array, ""],
    protocol: Protocol = STANDARD,
) -> Float[Array, ""]:
    """How well a linear classifier tells which factor two groups share pair by pair.

    It sees the mean absolute difference of the codes of `protocol.group` pairs, and is
    a logistic regression at the default penalty of scikit-learn. Of the protocol, the
    number of points and pairs apply; constant factors and pruning do not. Chance is
    1 / factors. The score saturates early: nearly every code of use reaches 1.

    Raises:
        ValueError: codes are not finite or not as many as examples; there is only one
            factor; the protocol has fewer balanced votes than factors.

    Source: Higgins et al. 2017, ICLR, section 3, as in `disentanglement_lib`.
    """
    codes = checked_codes("beta_vae_score", codes, factors)
    require_two_factors("beta_vae_score", len(factors.sizes))
    _require_votes("beta_vae_score", len(factors.sizes), protocol)
    return _beta_vae_score(codes, factors, key=key, protocol=protocol)


@functools.partial(jax.jit, static_argnames="protocol")
def _beta_vae_score(
    codes: Float[Array, "example latent"],
    factors: Factors,
    *,
    key: Key[Array, ""],
    protocol: Protocol,
) -> Float[Array, ""]:
    factor_count = len(factors.sizes)
    factor_key, first_key, second_key = jax.random.split(key, 3)
    factor = _fixed_factors(factor_count, key=factor_key, protocol=protocol)
    pairs = len(factor) * protocol.group
    first = jax.random.randint(first_key, (pairs,), 0, factors.number)
    shared = jnp.repeat(factor, protocol.group)
    second = factors.matching(first, shared, key=second_key)
    difference = jnp.abs(codes[first] - codes[second])
    features = difference.reshape(len(factor), protocol.group, -1).mean(1)

    fitted, scored = _fitted_and_scored(factor_count, protocol)
    classifier = classifiers.fit_logistic(
        features[fitted], factor[fitted], size=factor_count
    )
    return classifiers.accuracy(classifier, features[scored], factor[scored])
