"""Convolutions as matrix products: for many kernels, few channels, or few blocks.

In blocks of pixels, see `vae_jax.models.convolution.geometry`, each tap is a matrix
product, of positions by channels; what remains is to shift. The shifts are made of
whichever side has fewer channels.

Under `jax.vmap` over kernels these become products of stacks of matrices, which every
backend has; XLA's own convolution becomes one in groups, many times slower on CPUs.
"""

import functools
import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp

from vae_jax.models.convolution.geometry import (
    Geometry,
    blocks_to_pixels,
    kernel_to_taps,
    pixels_to_blocks,
    taps_to_kernel,
)


def conv(geometry: Geometry, images: jax.Array, kernel: jax.Array) -> jax.Array:
    """[batch rows columns out] of [batch height width channel]."""
    blocks, taps = pixels_to_blocks(geometry, images), kernel_to_taps(geometry, kernel)
    number, channels, out = taps.shape
    if channels <= out:
        patches = _windows(geometry, blocks)
        return patches @ taps.reshape(number * channels, out)
    spread = _to_be_summed(blocks, taps.swapaxes(0, 1).reshape(channels, number * out))
    parts = jnp.split(spread, number, axis=-1)
    rows, columns = geometry.size
    features = _sum(
        part[:, i : i + rows, j : j + columns]
        for part, (i, j) in zip(parts, _shifts(geometry), strict=True)
    )
    return features.astype(images.dtype)


def transpose(geometry: Geometry, features: jax.Array, kernel: jax.Array) -> jax.Array:
    """[batch height width channel] of [batch rows columns out]; `conv`'s adjoint."""
    taps = kernel_to_taps(geometry, kernel)
    number, channels, out = taps.shape
    if out <= channels:
        patches = _adjoint_windows(geometry, features)
        blocks = patches @ taps.swapaxes(1, 2).reshape(number * out, channels)
    else:
        spread = _to_be_summed(features, taps.reshape(number * channels, out).T)
        parts = jnp.split(spread, number, axis=-1)
        blocks = _sum(
            _padded(geometry, part, shift)
            for part, shift in zip(parts, _shifts(geometry), strict=True)
        )
    return blocks_to_pixels(geometry, blocks).astype(features.dtype)


def kernel_gradient(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
    """[kernel_height kernel_width channel out]: the adjoint in the kernel."""
    blocks = pixels_to_blocks(geometry, images)
    channels, out = blocks.shape[-1], features.shape[-1]
    over_positions = functools.partial(
        jax.lax.dot_general,
        dimension_numbers=(((0, 1, 2), (0, 1, 2)), ((), ())),
        preferred_element_type=_at_least_float32(images),
    )
    if channels <= out:
        taps = over_positions(_windows(geometry, blocks), features)
        taps = taps.reshape(-1, channels, out)
    else:
        # Features as the left factor: on CPUs blocks there take up to twice as long.
        taps = over_positions(_adjoint_windows(geometry, features), blocks)
        taps = taps.reshape(-1, out, channels).swapaxes(1, 2)
    gradient = taps_to_kernel(geometry, taps, images.shape[-1])
    return gradient.astype(images.dtype)


def _to_be_summed(left: jax.Array, right: jax.Array) -> jax.Array:
    """Their product, not rounded to bfloat16 before the taps are summed."""
    return jnp.matmul(left, right, preferred_element_type=_at_least_float32(left))


def _at_least_float32(x: jax.Array) -> jnp.dtype:
    return jnp.promote_types(x.dtype, jnp.float32)


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
