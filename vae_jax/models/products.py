"""Convolutions as matrix products: for many kernels at once, and inside loops.

With a stride s, the pixels of an s x s block become s^2 channels, and the convolution
one of stride 1 with few taps: 2x2 for the kernel of 4 and stride 2. Each tap is a
matrix product, of positions by channels; what remains is to shift. The shifts are made
of whichever side has fewer channels.

Under `jax.vmap` over kernels these become products of stacks of matrices, which every
backend has; XLA's own convolution becomes one in groups, many times slower on CPUs.
"""

import functools
import itertools
from collections.abc import Iterable
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


def conv(geometry: Geometry, images: jax.Array, kernel: jax.Array) -> jax.Array:
    """[batch rows columns out] of [batch height width channel]."""
    blocks, taps = _blocks(geometry, images), _kernel_blocks(geometry, kernel)
    number, channels, out = taps.shape
    if channels <= out:
        patches = _windows(geometry, blocks)
        return patches @ taps.reshape(number * channels, out)
    spread = blocks @ taps.swapaxes(0, 1).reshape(channels, number * out)
    parts = jnp.split(spread, number, axis=-1)
    rows, columns = geometry.size
    return _sum(
        part[:, i : i + rows, j : j + columns]
        for part, (i, j) in zip(parts, _shifts(geometry), strict=True)
    )


def transpose(geometry: Geometry, features: jax.Array, kernel: jax.Array) -> jax.Array:
    """[batch height width channel] of [batch rows columns out]; `conv`'s adjoint."""
    taps = _kernel_blocks(geometry, kernel)
    number, channels, out = taps.shape
    if out <= channels:
        patches = _adjoint_windows(geometry, features)
        blocks = patches @ taps.swapaxes(1, 2).reshape(number * out, channels)
    else:
        spread = features @ taps.reshape(number * channels, out).T
        parts = jnp.split(spread, number, axis=-1)
        blocks = _sum(
            _padded(geometry, part, shift)
            for part, shift in zip(parts, _shifts(geometry), strict=True)
        )
    return _pixels(geometry, blocks)


def kernel_gradient(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
    """[kernel_height kernel_width channel out]: the adjoint in the kernel."""
    blocks = _blocks(geometry, images)
    channels, out = blocks.shape[-1], features.shape[-1]
    over_positions = functools.partial(
        jax.lax.dot_general,
        dimension_numbers=(((0, 1, 2), (0, 1, 2)), ((), ())),
        preferred_element_type=jnp.promote_types(images.dtype, jnp.float32),
    )
    if channels <= out:
        taps = over_positions(_windows(geometry, blocks), features)
        taps = taps.reshape(-1, channels, out)
    else:
        taps = over_positions(blocks, _adjoint_windows(geometry, features))
        taps = taps.reshape(channels, -1, out).swapaxes(0, 1)
    gradient = _kernel_pixels(geometry, taps, images.shape[-1])
    return gradient.astype(images.dtype)


def _sum(arrays: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, arrays)


def _shifts(geometry: Geometry) -> list[tuple[int, int]]:
    rows, columns = geometry.taps
    return list(itertools.product(range(rows), range(columns)))


def _windows(geometry: Geometry, blocks: jax.Array) -> jax.Array:
    """What each feature sees, [batch rows columns (tap channel)]."""
    rows, columns = geometry.size
    return jnp.concatenate(
        [blocks[:, i : i + rows, j : j + columns] for i, j in _shifts(geometry)], -1
    )


def _adjoint_windows(geometry: Geometry, features: jax.Array) -> jax.Array:
    """The features that see each block, [batch block_row block_column (tap out)]."""
    return jnp.concatenate(
        [_padded(geometry, features, shift) for shift in _shifts(geometry)], -1
    )


def _padded(geometry: Geometry, x: jax.Array, shift: tuple[int, int]) -> jax.Array:
    edges = [(i, n - 1 - i) for i, n in zip(shift, geometry.taps, strict=True)]
    return jnp.pad(x, ((0, 0), *edges, (0, 0)))


def _edges(geometry: Geometry) -> list[tuple[int, int]]:
    """Zeros before and after rows and columns, to whole blocks; negative to cut."""
    return [
        (geometry.padding, (n + taps - 1) * geometry.stride - geometry.padding - pixels)
        for n, taps, pixels in zip(
            geometry.size, geometry.taps, geometry.image_size, strict=True
        )
    ]


def _blocks(geometry: Geometry, images: jax.Array) -> jax.Array:
    """[batch block_row block_column (stride stride channel)]."""
    stride, (batch, *_, channels) = geometry.stride, images.shape
    edges = ((0, 0), *_edges(geometry), (0, 0))
    zero = jnp.zeros((), images.dtype)
    whole = jax.lax.pad(images, zero, [(low, high, 0) for low, high in edges])
    rows, columns = (side // stride for side in whole.shape[1:3])
    split = whole.reshape(batch, rows, stride, columns, stride, channels)
    return split.swapaxes(2, 3).reshape(batch, rows, columns, stride**2 * channels)


def _pixels(geometry: Geometry, blocks: jax.Array) -> jax.Array:
    """The inverse of `_blocks`, and its adjoint."""
    stride, (batch, rows, columns, channels) = geometry.stride, blocks.shape
    split = blocks.reshape(batch, rows, columns, stride, stride, channels // stride**2)
    whole = split.swapaxes(2, 3).reshape(batch, rows * stride, columns * stride, -1)
    edges = ((0, 0), *_edges(geometry), (0, 0))
    zero = jnp.zeros((), blocks.dtype)
    return jax.lax.pad(whole, zero, [(-low, -high, 0) for low, high in edges])


def _kernel_blocks(geometry: Geometry, kernel: jax.Array) -> jax.Array:
    """[tap (stride stride channel) out]."""
    stride, (height, width, channels, out) = geometry.stride, kernel.shape
    rows, columns = geometry.taps
    edges = (0, rows * stride - height), (0, columns * stride - width)
    whole = jnp.pad(kernel, (*edges, (0, 0), (0, 0)))
    split = whole.reshape(rows, stride, columns, stride, channels, out)
    return split.swapaxes(1, 2).reshape(rows * columns, stride**2 * channels, out)


def _kernel_pixels(geometry: Geometry, taps: jax.Array, channels: int) -> jax.Array:
    """The adjoint of `_kernel_blocks`."""
    stride, out = geometry.stride, taps.shape[-1]
    rows, columns = geometry.taps
    split = taps.reshape(rows, columns, stride, stride, channels, out)
    whole = split.swapaxes(1, 2).reshape(rows * stride, columns * stride, channels, out)
    height, width = geometry.kernel_size
    return whole[:height, :width]
