"""From an image and its explanation to an anomaly map, a score, a threshold, a mask."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae_jax.arrays import require_equal_shapes
from vae_jax.filters import symmetric_filter

AnyArray = Array | np.ndarray
ImageBatch = Float[AnyArray, "batch rows columns channel"]
Maps = Float[AnyArray, "batch rows columns"]


class ColourLimits(NamedTuple):
    """The ends of one colour scale for all maps of a method."""

    low: float
    high: float


def absolute_residual(
    images: ImageBatch,
    reconstructions: ImageBatch,
) -> Float[Array, "batch rows columns"]:
    """|image - reconstruction|, averaged over channels; shapes must be equal."""
    require_equal_shapes(
        "absolute_residual", images=images, reconstructions=reconstructions
    )
    return jnp.abs(images - reconstructions).mean(-1)


def squared_residual(
    images: ImageBatch,
    reconstructions: ImageBatch,
) -> Float[Array, "batch rows columns"]:
    """(image - reconstruction)², averaged over channels; shapes must be equal."""
    require_equal_shapes(
        "squared_residual", images=images, reconstructions=reconstructions
    )
    return jnp.square(images - reconstructions).mean(-1)


def residual_times_gradient(
    residuals: ImageBatch, gradient: ImageBatch
) -> Float[Array, "batch rows columns"]:
    """|residual| |gradient|, averaged over channels.

    `residuals` are image - reconstruction, `gradient` that of a scalar score of each
    image (the reconstruction error, the KL, the negative ELBO) with respect to the
    image (Zimmerer et al. 2019), of the same shape. Either may be whitened.
    """
    require_equal_shapes(
        "residual_times_gradient", residuals=residuals, gradient=gradient
    )
    return jnp.abs(residuals * gradient).mean(-1)


@functools.partial(jax.jit, static_argnames="sigma")
def gaussian_blur(
    maps: Float[AnyArray, "batch rows columns *channel"], *, sigma: float
) -> Float[Array, "batch rows columns *channel"]:
    """Convolution with a Gaussian of `sigma` pixels, cut at 4 sigma; edges reflect.

    A pixel's reflection includes itself (d c b a | a b c d | d c b a), so that a flat
    map stays flat and the sum of a map is kept. A sigma of 0 changes nothing.
    """
    if not 0 <= sigma < math.inf:
        raise ValueError(
            f"gaussian_blur: sigma must be a number of pixels, 0 or more, got {sigma}; "
            "0 leaves the maps as they are."
        )
    radius = math.floor(4 * sigma + 0.5)
    distances = np.arange(radius + 1)
    half = np.exp(-0.5 * np.square(distances / sigma)) if radius else np.ones(1)
    weights = half / (2 * half.sum() - half[0])
    return symmetric_filter(jnp.asarray(maps), weights.tolist())


def local_contrast(
    images: ImageBatch, *, detail: float, window: float
) -> Float[Array, "batch rows columns"]:
    """Root mean square, over a Gaussian window, of what a small blur takes away.

    `detail` and `window` are the standard deviations of blur and window, in pixels.
    """
    removed = images - gaussian_blur(images, sigma=detail)
    power = jnp.square(removed).mean(-1)
    return jnp.sqrt(gaussian_blur(power, sigma=window))


def image_score(maps: Maps, *, top_fraction: float = 0.0) -> Float[Array, " batch"]:
    """Mean of the highest `top_fraction` of each map's pixels; 0 takes the maximum."""
    if not 0 <= top_fraction <= 1:
        raise ValueError(
            f"image_score: top_fraction must be in [0, 1], got {top_fraction}; 0 takes "
            "the highest pixel, 1 the mean of all."
        )
    pixels = maps.reshape(maps.shape[0], -1)
    count = max(1, round(top_fraction * pixels.shape[1]))
    return jax.lax.top_k(pixels, count)[0].mean(-1)


def threshold_from_normals(
    scores: Float[AnyArray, "*shape"], *, quantile: float
) -> Float[Array, ""]:
    """The `quantile` of the scores of held-out normal images or of their pixels.

    About a share of 1 - quantile of normal scores then lies at or above it.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(
            f"threshold_from_normals: quantile must be in [0, 1], got {quantile}."
        )
    return jnp.quantile(scores, quantile)


def anomaly_masks(
    maps: Maps, *, threshold: float | Float[Array, ""]
) -> Bool[Array, "batch rows columns"]:
    """Where the map reaches the threshold, the threshold itself included."""
    return jnp.asarray(maps) >= threshold


def colour_limits(
    normal_maps: Maps,
    *,
    quantile: float = 0.999,
    shown_at: float = 1 / 3,
) -> ColourLimits:
    """A colour scale on which normal maps stay dark, fixed over the data set.

    It begins at the median of held-out normal pixels, and their `quantile` is drawn at
    the share `shown_at` of it: what is three times as far from the median is fully lit.
    """
    if not 0 < shown_at <= 1:
        raise ValueError(f"colour_limits: shown_at must be in (0, 1], got {shown_at}.")
    low, top = jnp.quantile(normal_maps, jnp.array([0.5, quantile]))
    # Flat normal maps would leave a scale without extent.
    extent = max(float(top - low) / shown_at, float(jnp.finfo(low.dtype).tiny))
    return ColourLimits(float(low), float(low) + extent)
