"""From images to the squares that a baseline sees, and from their maps back."""

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data import images
from vae_jax.data.category import ImageSource
from vae_jax.data.concurrency import in_threads


def resize_all(
    source: ImageSource, size: int
) -> UInt8[np.ndarray, "image resized resized channel"]:
    """All images as squares of `size` pixels, in threads.

    Raises:
        ValueError: they are too small for that, see `images.resize`.
    """

    def resize(index: int) -> UInt8[np.ndarray, "resized resized channel"]:
        return images.resize(source[index], size, name=f"image {index}")

    return np.stack(in_threads(resize, range(len(source))))


def sliding(
    pixels: UInt8[np.ndarray, "image size size channel"], *, side: int, stride: int
) -> UInt8[np.ndarray, "image rows columns side side channel"]:
    """A view of every square of `side` pixels, `stride` pixels apart."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (side, side), (1, 2))
    return np.moveaxis(windows[:, ::stride, ::stride], 3, -1)


def spread(
    coarse: Float[np.ndarray, "image rows columns"],
    *,
    side: int,
    stride: int,
    of: int,
    size: int,
) -> Float[np.ndarray, "image size size"]:
    """Maps of `size` pixels, of one value for each of the `sliding` squares.

    The values stand at the centres of the squares in images of `of` pixels, bilinear
    between them and constant beyond the outermost.
    """
    centres = np.arange(coarse.shape[1]) * stride + side / 2  # from the image's edge
    pixels = (np.arange(size) + 0.5) * of / size
    units = np.eye(len(centres))
    weights = np.stack([np.interp(pixels, centres, unit) for unit in units], axis=1)
    weights = weights.astype(np.float32)
    return weights @ coarse @ weights.T
