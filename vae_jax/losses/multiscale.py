"""Multi-scale structural similarity: SSIM of images and of what is left from afar."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import require_equal_shapes, require_floating, require_pixels
from vae_jax.losses.ssim import Images, similarity_parts

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, the finest first: what human observers weighed (Wang et al. 2003)."""
WINDOW_SIDE = 11

_LEAST_CONTRAST = 1e-3


def ms_ssim(
    images: Images,
    reconstructions: Images,
    *,
    scales: int = len(SCALE_WEIGHTS),
    c1: float = 0.01**2,
    c2: float = 0.03**2,
) -> Float[Array, " batch"]:
    """Multi-scale SSIM of each image, in (0, 1], averaged over channels.

    The product of weighted powers: contrast and structure, averaged over pixels, at
    every scale, and luminance at the coarsest. From one scale to the next both images
    are halved by the mean of 2x2 pixels; the last of an odd number counts twice. Edges
    reflect, as in `ssim_map`, where Wang et al. leave out windows that cross them.

    A contrast that averages less than 1e-3, which has no power if it is negative,
    counts as 1e-3 and has the gradient that it would have there: without one, training
    could not leave noise or a negative.

    Args:
        images: intensities in [0, 1].
        reconstructions: compared with them; the arguments may be swapped.
        scales: From 1 to 5: the first of the published weights, scaled to sum 1. The
            coarsest image has room for a whole window of 11 pixels.
        c1: added to the squares of the means.
        c2: added to the variances.

    Raises:
        ValueError: If the images are too small for so many scales, the shapes differ,
            or either is not floating-point, or images are not in [0, 1], as far as that
            is known.

    Source: Wang et al. 2003, "Multi-scale structural similarity", Eq. 7 and section
    3.2.
    """
    require_equal_shapes("ms_ssim", images=images, reconstructions=reconstructions)
    require_pixels("ms_ssim", images)
    require_floating("ms_ssim", reconstructions)
    _require_room(*images.shape[1:3], scales=scales)
    weights = scale_weights(scales)
    similarity = jnp.ones(())
    for scale, weight in enumerate(weights, 1):
        luminance, contrast = similarity_parts(
            images, reconstructions, window="gaussian", c1=c1, c2=c2
        )
        if scale == scales:
            contrast = luminance * contrast
        mean = contrast.mean((1, 2))
        similarity *= _floored(mean) ** weight
        images, reconstructions = _halved(images), _halved(reconstructions)
    return similarity.mean(-1)


def ms_ssim_loss(
    images: Images,
    reconstructions: Images,
    *,
    scales: int = len(SCALE_WEIGHTS),
    c1: float = 0.01**2,
    c2: float = 0.03**2,
) -> Float[Array, " batch"]:
    """1 - MS-SSIM, in [0, 1), not in nats; arguments and errors are of `ms_ssim`."""
    return 1 - ms_ssim(images, reconstructions, scales=scales, c1=c1, c2=c2)


def scale_weights(scales: int) -> tuple[float, ...]:
    """Of the first `scales` of five, scaled to sum 1."""
    kept = SCALE_WEIGHTS[:scales]
    return tuple(weight / sum(kept) for weight in kept)


def scales_of(rows: int, columns: int) -> int:
    """The most scales that images of this size have room for; 0 of smaller ones."""
    side, scales = min(rows, columns), 0
    while side >= WINDOW_SIDE and scales < len(SCALE_WEIGHTS):
        side, scales = (side + 1) // 2, scales + 1
    return scales


def _require_room(rows: int, columns: int, *, scales: int) -> None:
    if not 1 <= scales <= len(SCALE_WEIGHTS):
        raise ValueError(
            f"ms_ssim: scales must be from 1 to {len(SCALE_WEIGHTS)}, got {scales}."
        )
    if (room := scales_of(rows, columns)) < scales:
        advice = f"take scales={room}" if room else "enlarge them"
        raise ValueError(
            f"ms_ssim: images of {scales} scales must have {WINDOW_SIDE} pixels a side "
            f"after {scales - 1} halvings, got {rows}x{columns}; {advice}."
        )


def _floored(
    contrast: Float[Array, "batch channel"],
) -> Float[Array, "batch channel"]:
    floor = _LEAST_CONTRAST + contrast - jax.lax.stop_gradient(contrast)
    return jnp.where(contrast < _LEAST_CONTRAST, floor, contrast)


def _halved(images: Images) -> Float[Array, "batch half_rows half_columns channel"]:
    _, rows, columns, _ = images.shape
    edges = ((0, 0), (0, rows % 2), (0, columns % 2), (0, 0))
    even = jnp.pad(images, edges, mode="edge")
    pairs = even[:, ::2] + even[:, 1::2]
    return (pairs[:, :, ::2] + pairs[:, :, 1::2]) / 4
