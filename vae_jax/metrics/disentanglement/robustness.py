"""Interventional robustness: how far a latent moves when other factors do."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vae_jax.metrics.disentanglement.checks import checked_codes, require_bins
from vae_jax.metrics.disentanglement.factors import Codes, Factors
from vae_jax.metrics.disentanglement.information import BINS, histogram_bins
from vae_jax.metrics.disentanglement.scaling import centred, is_constant


class Irs(NamedTuple):
    """The score in [0, 1], and the robustness of each latent for each factor."""

    score: Float[Array, ""]
    robustness: Float[Array, "latent factor"]


def irs(
    codes: Codes, factors: Factors, *, quantile: float = 0.99, bins: int = BINS
) -> Irs:
    """Interventional robustness score.

    The robustness of a latent for a factor is 1 minus its deviation from the mean of
    the examples that share the factor's value (the `quantile` of it, averaged over the
    values), over its largest deviation from its mean. The score is the mean of each
    latent's best factor, weighted by its largest deviation. Constant latents do not
    count; if all are constant the score is 0.

    Args:
        codes: [example latent].
        factors: of the same examples.
        quantile: 1 is the maximum of the paper, 0.99 that of `disentanglement_lib`.
        bins: equal intervals of class numbers that count as one value, where a factor
            has more values than that.

    Raises:
        ValueError: codes are not finite or not as many as examples, the quantile is
            not in [0, 1], or there are fewer than two bins.

    Source: Suter et al. 2019, ICML, section 4.
    """
    codes = checked_codes("irs", codes, factors)
    if not 0 <= quantile <= 1:
        raise ValueError(f"irs: quantile must be in [0, 1], got {quantile}.")
    require_bins("irs", bins)
    return _irs(codes, factors, quantile=quantile, bins=bins)


@functools.partial(jax.jit, static_argnames=("quantile", "bins"))
def _irs(
    codes: Float[Array, "example latent"],
    factors: Factors,
    *,
    quantile: float,
    bins: int,
) -> Irs:
    classes = factors.classes(jnp.arange(factors.number))
    groups = jnp.stack(
        [
            _groups(values, size=size, bins=bins)
            for values, size in zip(classes.T, factors.sizes, strict=True)
        ],
        axis=1,
    )
    constant = is_constant(codes)
    codes = centred(codes)
    largest = jnp.abs(codes).max(0)

    def of_latent(code: Float[Array, " example"]) -> Float[Array, " factor"]:
        deviation = functools.partial(_deviation, code, number=bins, quantile=quantile)
        return jax.vmap(deviation, in_axes=1)(groups)

    deviations = jax.lax.map(of_latent, codes.T)
    relative = deviations / jnp.where(constant, 1, largest)[:, None]
    robustness = jnp.where(constant[:, None], 0, 1 - relative)
    total = jnp.where(constant.all(), 1, largest.sum())
    return Irs((robustness.max(1) * largest).sum() / total, robustness)


def _groups(
    classes: Int[Array, " example"], *, size: int, bins: int
) -> Int[Array, " example"]:
    """The values that occur, numbered from 0; of more than `bins`, the bins."""
    occurs = jnp.zeros(size, bool).at[classes].set(True)
    binned = histogram_bins(classes.astype(jnp.float32)[:, None], bins=bins)[:, 0]
    numbered = jnp.cumsum(occurs)[classes] - 1
    return jnp.where(occurs.sum() > bins, binned, numbered)


def _deviation(
    code: Float[Array, " example"],
    group: Int[Array, " example"],
    *,
    number: int,
    quantile: float,
) -> Float[Array, ""]:
    """Mean over groups of the quantile of |code - mean of the group|."""
    counts = jnp.bincount(group, length=number)
    sums = jnp.zeros(number).at[group].add(code)
    mean = sums / jnp.maximum(counts, 1)
    distance = jnp.abs(code - mean[group])
    ascending = distance[jnp.lexsort((distance, group))]
    # As numpy.quantile: linear between the two nearest order statistics.
    place = quantile * jnp.maximum(counts - 1, 0)
    below = jnp.floor(place).astype(int)
    first = jnp.cumsum(counts) - counts
    low = ascending[first + below]
    high = ascending[first + jnp.minimum(below + 1, jnp.maximum(counts - 1, 0))]
    found = low + (place - below) * (high - low)
    return jnp.where(counts > 0, found, 0).sum() / (counts > 0).sum()
