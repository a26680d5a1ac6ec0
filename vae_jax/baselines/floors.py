"""Maps that need no model: a method must beat them to have shown anything.

They suit any category and are never tuned to one. `window` is the standard deviation
of their Gaussian window as a share of the image's rows; 0 leaves the map sharp.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax import anomaly
from vae_jax.anomaly import AnyArray, ImageBatch, absolute_residual, gaussian_blur
from vae_jax.data.category import ImageSource
from vae_jax.data.images import to_float

WINDOW = 1 / 32


def local_contrast(
    images: ImageBatch, *, detail: float = 0.5, window: float = WINDOW
) -> Float[Array, "batch rows columns"]:
    """Root mean square, over a Gaussian window, of what a small blur takes away.

    `detail` is the small blur's standard deviation in pixels. On the screws of MVTec AD
    this is stronger than the blurred |image - blur|, the blurred gradient magnitude and
    the local standard deviation.
    """
    pixels = window * images.shape[1]
    return anomaly.local_contrast(images, detail=detail, window=pixels)


def distance_from_mean(
    images: ImageBatch,
    mean_image: Float[AnyArray, "rows columns channel"],
    *,
    window: float = WINDOW,
) -> Float[Array, "batch rows columns"]:
    """|image - mean training image|, averaged over channels and blurred."""
    means = jnp.broadcast_to(mean_image, images.shape)
    distance = absolute_residual(images, means)
    return gaussian_blur(distance, sigma=window * images.shape[1])


def silhouette(
    images: ImageBatch, *, window: float = WINDOW
) -> Float[Array, "batch rows columns"]:
    """|background - image|, averaged over channels and blurred.

    The background of an image is the median of its outermost pixels, by channel.
    """
    border = jnp.concatenate(
        [images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1
    )
    background = jnp.median(border, axis=1)[:, None, None, :]
    distance = absolute_residual(images, jnp.broadcast_to(background, images.shape))
    return gaussian_blur(distance, sigma=window * images.shape[1])


class GrayStatistics(NamedTuple):
    """Of each pixel of normal images in gray, which is the mean of the channels."""

    mean: Float[np.ndarray, "rows columns"]
    std: Float[np.ndarray, "rows columns"]


def gray_statistics(normals: ImageSource) -> GrayStatistics:
    """Mean and standard deviation of each pixel in [0, 1], in one pass."""
    total = squares = np.zeros(normals[0].shape[:2])
    for i in range(len(normals)):
        gray = to_float(normals[i]).mean(-1, dtype=np.float64)
        total, squares = total + gray, squares + np.square(gray)
    mean = total / len(normals)
    variance = np.maximum(squares / len(normals) - np.square(mean), 0.0)
    return GrayStatistics(mean.astype(np.float32), np.sqrt(variance, dtype=np.float32))


def variation(
    images: ImageBatch,
    mean: Float[AnyArray, "rows columns"],
    std: Float[AnyArray, "rows columns"],
    *,
    least: float = 1 / 255,
    window: float = 0.0,
) -> Float[Array, "batch rows columns"]:
    """|image - mean| / std of each pixel in gray, for images that are aligned.

    The variation model of Bergmann et al. 2019, as published not blurred. A deviation
    below `least`, one step of 8 bits, says nothing but that there are few images.
    """
    distance = jnp.abs(jnp.asarray(images).mean(-1) - mean[None])
    maps = distance / jnp.maximum(std, least)[None]
    return gaussian_blur(maps, sigma=window * images.shape[1])
