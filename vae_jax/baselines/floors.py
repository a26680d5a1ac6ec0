"""Maps that need no model: a method must beat them to have shown anything.

They suit any category and are never tuned to one. `window` is the standard deviation
of their Gaussian window as a share of the image's rows; 0 leaves the map sharp.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.anomaly import AnyArray, ImageBatch, absolute_residual, gaussian_blur

WINDOW = 1 / 32


def local_contrast(
    images: ImageBatch, *, detail: float = 0.5, window: float = WINDOW
) -> Float[Array, "batch rows columns"]:
    """Root mean square, over a Gaussian window, of what a small blur takes away.

    `detail` is the small blur's standard deviation in pixels. On the screws of MVTec AD
    this is stronger than the blurred |image - blur|, the blurred gradient magnitude and
    the local standard deviation.
    """
    removed = images - gaussian_blur(images, sigma=detail)
    power = jnp.square(removed).mean(-1)
    return jnp.sqrt(gaussian_blur(power, sigma=window * images.shape[1]))


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
