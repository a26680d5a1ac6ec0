"""How sharp images are, and how near to others, for tables of reconstructions."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax.arrays import at_least_float32, require_equal_shapes, require_pixels

Images = Float[Array | np.ndarray, "batch rows columns channel"]


def laplacian_variance(images: Images) -> Float[Array, " batch"]:
    """Variance of the discrete Laplacian over inner pixels, averaged over channels.

    The Laplacian is the sum of the four neighbours less four times the pixel. Of a
    plane it is 0 everywhere; of a checkerboard of 0 and 1 it is -4 and 4, of variance
    16. Noise is sharp too: compare images of one kind, as `relative_sharpness` does.

    Raises:
        ValueError: Images of fewer than 3 pixels a side, or not in [0, 1].

    Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy".
    """
    require_pixels("laplacian_variance", images)
    _require_side("laplacian_variance", images)
    x = at_least_float32(jnp.asarray(images))
    neighbours = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
    return (neighbours - 4 * x[:, 1:-1, 1:-1]).var((1, 2)).mean(-1)


def relative_sharpness(reconstructions: Images, images: Images) -> Float[Array, ""]:
    """Mean Laplacian variance of reconstructions over that of the images.

    1 for as sharp as the images, 0 for flat; above 1 there are edges or noise that the
    images do not have. Errors are those of `laplacian_variance`.
    """
    return (
        laplacian_variance(reconstructions).mean() / laplacian_variance(images).mean()
    )


def spectral_slope(images: Images) -> Float[Array, " batch"]:
    """Exponent by which the power of an image falls with spatial frequency.

    The slope of log power, averaged over rings of equal frequency, against log
    frequency, from one cycle a side up to Nyquist: about -2 for photographs, 0 for
    white noise, less the blurrier. Means, and with them a flat image's slope of 0, are
    left out; the edges are tapered by a Hann window, without which their jump would
    pass for detail. Averaged over channels.

    Raises:
        ValueError: Images that are not square, of fewer than 8 pixels a side, or not in
            [0, 1].

    Source: Field 1987, "Relations between the statistics of natural images and the
    response properties of cortical cells".
    """
    require_pixels("spectral_slope", images)
    _, rows, columns, _ = images.shape
    if rows != columns or rows < 8:
        raise ValueError(
            "spectral_slope: images must be square, of at least 8 pixels a side, got "
            f"{rows}x{columns}; cut squares out of them."
        )
    x = at_least_float32(jnp.asarray(images))
    taper = np.hanning(rows + 1)[:-1]
    window = jnp.asarray(np.outer(taper, taper)[None, :, :, None], x.dtype)
    centred = (x - x.mean((1, 2), keepdims=True)) * window
    power = jnp.square(jnp.abs(jnp.fft.fft2(centred, axes=(1, 2)))).mean(-1)
    rings, frequency = _rings(rows)
    per_ring = jnp.einsum("brc,rck->bk", power, rings.astype(x.dtype))
    return _slope(np.log(frequency), jnp.log(per_ring + 1e-12 * rows**2))


def psnr(images: Images, reconstructions: Images) -> Float[Array, " batch"]:
    """Peak signal-to-noise ratio of each reconstruction, in decibels.

    -10 log10 of the mean squared error of intensities in [0, 1]; infinite where there
    is none.

    Raises:
        ValueError: If the shapes differ or images are not in [0, 1].
    """
    require_equal_shapes("psnr", images=images, reconstructions=reconstructions)
    require_pixels("psnr", images)
    x, y = (at_least_float32(jnp.asarray(a)) for a in (images, reconstructions))
    return -10 / math.log(10) * jnp.log(jnp.square(x - y).mean((1, 2, 3)))


def _require_side(function: str, images: Images) -> None:
    if min(images.shape[1:3]) < 3:
        raise ValueError(
            f"{function}: images must have at least 3 pixels a side, got "
            f"{images.shape[1]}x{images.shape[2]}."
        )


def _rings(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights [row column ring] of the mean over each ring, and its frequency."""
    cycles = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(cycles[:, None], cycles[None]))
    frequency = np.arange(1, side // 2 + 1)
    members = radius[..., None] == frequency
    return members / members.sum((0, 1)), frequency


def _slope(
    x: Float[np.ndarray, " ring"], y: Float[Array, "batch ring"]
) -> Float[Array, " batch"]:
    """Of least squares."""
    centred = x - x.mean()
    return y @ jnp.asarray(centred / np.square(centred).sum(), y.dtype)
