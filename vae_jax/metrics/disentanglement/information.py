"""Mutual information of latents and factors from histograms, and scores made of it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vae_jax.metrics.disentanglement.checks import (
    checked_codes,
    require_bins,
    require_two_factors,
    require_two_latents,
)
from vae_jax.metrics.disentanglement.factors import Codes, Factors

BINS = 20
"""Equal bins from the smallest to the largest code, as in `disentanglement_lib`."""


class InformationGap(NamedTuple):
    """The mutual information gap and what it was read from, in nats."""

    score: Float[Array, ""]  # in [0, 1]
    mutual_information: Float[Array, "latent factor"]
    entropy: Float[Array, " factor"]


def histogram_bins(
    values: Float[Array, "example latent"], *, bins: int
) -> Int[Array, "example latent"]:
    """The bin, 0 to bins - 1, of each value between the extremes of its column.

    A bin holds its lower edge, the last one both; a constant is in a single bin.
    """
    edges = jnp.linspace(values.min(0), values.max(0), bins + 1)[1:-1]
    return (values[:, :, None] >= edges.T[None]).sum(-1)


def entropy(counts: Float[Array, "*shape n"] | Int[Array, "*shape n"]) -> Array:
    """Of the last axis once it sums to 1, in nats; empty places add nothing."""
    total = counts.sum(-1, keepdims=True)
    p = counts / jnp.where(total > 0, total, 1)
    return -(p * jnp.log(jnp.where(p > 0, p, 1))).sum(-1)


def mutual_information(
    first: Int[Array, " example"],
    second: Int[Array, " example"],
    *,
    sizes: tuple[int, int],
) -> Float[Array, ""]:
    """Of two class labels by their counts, in nats: exactly 0 of a constant.

    The sum of p log(n c_ij / (c_i c_j)) over the cells that occur, n examples in all.
    """
    rows, columns = sizes
    joint = jnp.bincount(first * columns + second, length=rows * columns)
    counts = joint.reshape(sizes).astype(jnp.float32)
    occurring = len(first) * counts
    independent = counts.sum(1)[:, None] * counts.sum(0)[None]
    # Not every device divides equal numbers to exactly 1.
    differs = (counts > 0) & (occurring != independent)
    ratio = jnp.where(differs, occurring, 1) / jnp.where(differs, independent, 1)
    return jnp.maximum((counts * jnp.log(ratio)).sum() / len(first), 0)


@jax.jit
def information_gap(
    mutual_information: Float[Array, "latent factor"], entropy: Float[Array, " factor"]
) -> Float[Array, ""]:
    """Mean over factors of the gap of the best two latents, over the entropy."""
    first, second = jax.lax.top_k(mutual_information.T, 2)[0].T
    return ((first - second) / entropy).mean()


def mig_binned(codes: Codes, factors: Factors, *, bins: int = BINS) -> InformationGap:
    """Mutual information gap, from histograms of the codes.

    The number moves with the bins and differs from `mig_density`: never mix the two.

    Raises:
        ValueError: codes are not finite, not as many as examples, or of one latent;
            there are fewer than two bins.

    Source: Chen et al. 2018, NeurIPS, Eq. 6, estimated as in Locatello et al. 2019.
    """
    codes = checked_codes("mig_binned", codes, factors)
    require_two_latents("mig_binned", codes.shape[1])
    require_bins("mig_binned", bins)
    information, factor_entropy = _information(codes, factors, bins=bins)
    score = information_gap(information, factor_entropy)
    return InformationGap(score, information, factor_entropy)


def modularity(codes: Codes, factors: Factors, *, bins: int = BINS) -> Float[Array, ""]:
    """Whether each latent informs about one factor only, in [0, 1].

    Dead latents count as 0, so the score also falls with each latent that is not used.

    Raises:
        ValueError: codes are not finite or not as many as examples; there is only one
            factor, or fewer than two bins.

    Source: Ridgeway and Mozer 2018, NeurIPS, section 3.
    """
    codes = checked_codes("modularity", codes, factors)
    require_two_factors("modularity", len(factors.sizes))
    require_bins("modularity", bins)
    return modularity_of(_information(codes, factors, bins=bins)[0])


@jax.jit
def modularity_of(
    mutual_information: Float[Array, "latent factor"],
) -> Float[Array, ""]:
    """Mean over latents of 1 - (squares but the largest) / (largest (factors - 1)).

    Raises:
        ValueError: there is only one factor.
    """
    factors = mutual_information.shape[1]
    require_two_factors("modularity_of", factors)
    squared = mutual_information**2
    largest = squared.max(1)
    others = (squared.sum(1) - largest) / (factors - 1)
    share = others / jnp.where(largest > 0, largest, 1)
    return jnp.where(largest > 0, 1 - share, 0).mean()


def mean_code_information(codes: Codes, *, bins: int = BINS) -> Float[Array, ""]:
    """Mean mutual information of two different latents in nats, from histograms.

    Raises:
        ValueError: codes are not finite, or of one latent; there are fewer than two
            bins.

    Source: Locatello et al. 2019, ICML, section 5.2.
    """
    codes = checked_codes("mean_code_information", codes)
    require_two_latents("mean_code_information", codes.shape[1])
    require_bins("mean_code_information", bins)
    return _mean_code_information(codes, bins=bins)


@functools.partial(jax.jit, static_argnames="bins")
def _information(
    codes: Float[Array, "example latent"], factors: Factors, *, bins: int
) -> tuple[Float[Array, "latent factor"], Float[Array, " factor"]]:
    classes = factors.classes(jnp.arange(factors.number))
    binned = histogram_bins(codes, bins=bins)
    informations, entropies = [], []
    for factor, size in enumerate(factors.sizes):
        values = classes[:, factor]
        with_values = functools.partial(
            mutual_information, second=values, sizes=(bins, size)
        )
        informations.append(jax.lax.map(with_values, binned.T))
        entropies.append(entropy(jnp.bincount(values, length=size)))
    return jnp.stack(informations, 1), jnp.stack(entropies)


@functools.partial(jax.jit, static_argnames="bins")
def _mean_code_information(
    codes: Float[Array, "example latent"], *, bins: int
) -> Float[Array, ""]:
    binned = histogram_bins(codes, bins=bins)
    first, second = jnp.triu_indices(codes.shape[1], k=1)

    def of_pair(pair: Int[Array, " 2"]) -> Float[Array, ""]:
        one, other = binned[:, pair[0]], binned[:, pair[1]]
        return mutual_information(one, other, sizes=(bins, bins))

    return jax.lax.map(of_pair, jnp.stack([first, second], 1)).mean()
