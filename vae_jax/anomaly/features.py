"""How far the activations of a layer are from what they are on normal images."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax.anomaly.maps import AnyArray


class ChannelStatistics(NamedTuple):
    """Mean and inverse covariance of a layer's channels over normal pixels."""

    mean: Float[Array, " channel"]
    precision: Float[Array, "channel channel"]


def channel_statistics(
    mean: Float[np.ndarray, " channel"],
    second_moment: Float[np.ndarray, "channel channel"],
    *,
    shrinkage: float = 0.01,
) -> ChannelStatistics:
    """From E[a] and E[a aᵀ] over all pixels of normal images.

    `shrinkage` of the mean variance is added to the covariance, so that a channel that
    is never active on normal images does not decide alone. In float64 on the host:
    a difference of moments loses digits.
    """
    mean = np.asarray(mean, np.float64)
    covariance = np.asarray(second_moment, np.float64) - np.outer(mean, mean)
    # A layer that is never active at all has no scale: any will do.
    scale = np.trace(covariance) / len(mean) or 1.0
    covariance += shrinkage * scale * np.eye(len(mean))
    precision = np.linalg.inv(covariance)
    return ChannelStatistics(
        jnp.asarray(mean, jnp.float32), jnp.asarray(precision, jnp.float32)
    )


def channel_distance(
    activation: Float[AnyArray, "batch rows columns channel"],
    statistics: ChannelStatistics,
) -> Float[Array, "batch rows columns"]:
    """The squared Mahalanobis distance of each pixel's channels, over their number.

    Its mean over normal pixels is 1 (less, by as much as the covariance was shrunk), so
    that the distances of several layers can be averaged. Defard et al., "PaDiM" (ICPR
    2020) take it at each pixel of aligned images; here all pixels are one population.
    """
    mean = statistics.mean[None, None, None]
    difference = jnp.asarray(activation, jnp.float32) - mean
    # In all of float32: a precision matrix magnifies what products lose.
    scaled = jnp.einsum(
        "brcd,de->brce", difference, statistics.precision, precision="highest"
    )
    return (scaled * difference).mean(-1)
