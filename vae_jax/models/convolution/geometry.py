"""How a strided kernel slides over images, and pixels as channels of blocks.

With a stride s, the pixels of an s x s block become s^2 channels, and a convolution
one of stride 1 with few taps: 2x2 for the kernel of 4 and stride 2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Geometry(NamedTuple):
    """How a kernel slides over images: [kernel_height, kernel_width] and so on."""

    stride: int
    padding: int
    image_size: tuple[int, int]
    kernel_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the features."""
        rows, columns = (
            (image + 2 * self.padding - kernel) // self.stride + 1
            for image, kernel in zip(self.image_size, self.kernel_size, strict=True)
        )
        return rows, columns

    @property
    def taps(self) -> tuple[int, int]:
        """Rows and columns of the kernel, in blocks."""
        height, width = self.kernel_size
        return -(-height // self.stride), -(-width // self.stride)

    @property
    def is_of_blocks(self) -> bool:
        """Whether the kernel is a whole number of blocks of more than one pixel."""
        return self.stride > 1 and all(k % self.stride == 0 for k in self.kernel_size)


def _edges(geometry: Geometry) -> list[tuple[int, int]]:
    """Zeros before and after rows and columns, to whole blocks; negative to cut."""
    return [
        (geometry.padding, (n + taps - 1) * geometry.stride - geometry.padding - pixels)
        for n, taps, pixels in zip(
            geometry.size, geometry.taps, geometry.image_size, strict=True
        )
    ]


def pixels_to_blocks(geometry: Geometry, images: jax.Array) -> jax.Array:
    """[batch block_row block_column (stride stride channel)]."""
    stride, (batch, *_, channels) = geometry.stride, images.shape
    edges = ((0, 0), *_edges(geometry), (0, 0))
    zero = jnp.zeros((), images.dtype)
    whole = jax.lax.pad(images, zero, [(low, high, 0) for low, high in edges])
    rows, columns = (side // stride for side in whole.shape[1:3])
    split = whole.reshape(batch, rows, stride, columns, stride, channels)
    return split.swapaxes(2, 3).reshape(batch, rows, columns, stride**2 * channels)


def blocks_to_pixels(geometry: Geometry, blocks: jax.Array) -> jax.Array:
    """The inverse of `pixels_to_blocks`, and its adjoint."""
    stride, (batch, rows, columns, channels) = geometry.stride, blocks.shape
    channels //= stride**2
    split = blocks.reshape(batch, rows, columns, stride, stride, channels)
    shape = batch, rows * stride, columns * stride, channels
    whole = split.swapaxes(2, 3).reshape(shape)
    edges = ((0, 0), *_edges(geometry), (0, 0))
    zero = jnp.zeros((), blocks.dtype)
    return jax.lax.pad(whole, zero, [(-low, -high, 0) for low, high in edges])


def kernel_to_taps(geometry: Geometry, kernel: jax.Array) -> jax.Array:
    """[tap (stride stride channel) out]."""
    stride, (height, width, channels, out) = geometry.stride, kernel.shape
    rows, columns = geometry.taps
    edges = (0, rows * stride - height), (0, columns * stride - width)
    whole = jnp.pad(kernel, (*edges, (0, 0), (0, 0)))
    split = whole.reshape(rows, stride, columns, stride, channels, out)
    return split.swapaxes(1, 2).reshape(rows * columns, stride**2 * channels, out)


def taps_to_kernel(geometry: Geometry, taps: jax.Array, channels: int) -> jax.Array:
    """The adjoint of `kernel_to_taps`."""
    stride, out = geometry.stride, taps.shape[-1]
    rows, columns = geometry.taps
    split = taps.reshape(rows, columns, stride, stride, channels, out)
    whole = split.swapaxes(1, 2).reshape(rows * stride, columns * stride, channels, out)
    height, width = geometry.kernel_size
    return whole[:height, :width]
