"""From an image and its explanation to an anomaly map, a score, a threshold, a mask.

Maps are raw: no function here rescales one image by its own extremes, so maps compare
across images, and a normal image stays dark. What is calibrated is calibrated on
normal images.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae_jax.distributions import require_equal_shapes
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


def normal_spectrum(
    residuals: ImageBatch,
) -> Float[Array, "rows columns channel"]:
    """The power of normal residuals at each frequency, of mean 1, smoothed.

    `residuals` are image - reconstruction of normal images. The frequencies are laid
    out as by `jnp.fft.fft2`, which is also why the smoothing goes around the edges.
    """
    power = jnp.square(jnp.abs(jnp.fft.fft2(residuals, axes=(1, 2)))).mean(0)
    power = power / power.mean((0, 1), keepdims=True)
    # A Gaussian of one bin, as its transform: exp(-2 (pi f)^2) at frequency f.
    rows, columns = (jnp.fft.fftfreq(n) for n in power.shape[:2])
    squares = jnp.square(rows)[:, None] + jnp.square(columns)[None, :]
    kernel = jnp.exp(-2 * jnp.pi**2 * squares)[:, :, None]
    smooth = jnp.fft.ifft2(jnp.fft.fft2(power, axes=(0, 1)) * kernel, axes=(0, 1))
    return jnp.maximum(smooth.real, 0.0) + 1e-4


def whiten(
    values: ImageBatch,
    spectrum: Float[AnyArray, "rows columns channel"],
    *,
    exponent: float = 0.25,
) -> Float[Array, "batch rows columns channel"]:
    """Weakens the frequencies that normal residuals are made of.

    Each frequency is divided by its normal power to the `exponent`: 0 changes nothing,
    1/2 makes normal residuals white. The VAE leaves out of every image what it cannot
    draw, fine texture above all; whitened, that no longer drowns what is not normal.
    """
    transformed = jnp.fft.fft2(values, axes=(1, 2)) / spectrum[None] ** exponent
    return jnp.fft.ifft2(transformed, axes=(1, 2)).real


def calibrate(
    maps: Maps,
    normal_map: Float[AnyArray, "rows columns"],
    *,
    sigma: float,
    floor: float,
) -> Float[Array, "batch rows columns"]:
    """Divides by what is usual at each pixel: for images that are aligned.

    Args:
        maps: anomaly maps, not negative.
        normal_map: their mean over normal images.
        sigma: of the Gaussian that smooths `normal_map`, in pixels.
        floor: added to the divisor, in units of the mean of `normal_map`; the larger,
            the less pixels are told apart.
    """
    usual = gaussian_blur(normal_map[None], sigma=sigma) + floor * normal_map.mean()
    return maps / usual


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
