"""In which form a convolution of one kernel is computed, by platform and sizes.

On accelerators all three of `vae_jax.models.convolution.strided` are XLA's convolution
and what XLA derives from it. Its CPU programs for some are slow, that for the kernel
gradient of a transposed convolution 20 times slower than need be, so that for CPUs
other forms are written out here and in `vae_jax.models.convolution.products`. Which is
taken for which sizes is what was fastest in training steps on x86-64 with AVX-512.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from vae_jax.models.convolution import products
from vae_jax.models.convolution.geometry import (
    Geometry,
    blocks_to_pixels,
    kernel_to_taps,
)


def conv(geometry: Geometry, images: jax.Array, kernel: jax.Array) -> jax.Array:
    """[batch rows columns out] of [batch height width channel]."""
    on_cpu = _lax_conv
    channels, out = kernel.shape[2:]
    is_small_block = geometry.is_of_blocks and geometry.stride**2 * channels <= out
    if is_small_block or _is_faster_in_blocks(geometry, channels, out):
        on_cpu = products.conv
    return _by_platform(on_cpu, _lax_conv, geometry, images, kernel)


def transpose(geometry: Geometry, features: jax.Array, kernel: jax.Array) -> jax.Array:
    """[batch height width channel] of [batch rows columns out]; `conv`'s adjoint."""
    if geometry.padding == 0 and geometry.image_size == geometry.kernel_size:
        # One feature for the whole image.
        return jnp.einsum("bijo,hwco->bhwc", features, kernel)
    on_cpu = _transpose_by_dilation
    channels, out = kernel.shape[2:]
    is_small_block = geometry.stride > 1 and geometry.stride**2 * channels <= out
    is_one_tap = geometry.stride > 1 and geometry.taps == (1, 1)
    if is_small_block or is_one_tap or _is_faster_in_blocks(geometry, channels, out):
        on_cpu = products.transpose
    elif geometry.is_of_blocks:
        on_cpu = _transpose_by_blocks
    return _by_platform(on_cpu, _transpose_by_dilation, geometry, features, kernel)


def kernel_gradient(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
    """[kernel_height kernel_width channel out]: the adjoint in the kernel."""
    on_cpu = _kernel_gradient_by_convolution
    channels, out = images.shape[-1], features.shape[-1]
    is_small_block = geometry.stride**2 * channels <= 4
    is_one_tap = geometry.taps == (1, 1)
    if is_small_block or is_one_tap or _is_faster_in_blocks(geometry, channels, out):
        on_cpu = products.kernel_gradient
    elif channels >= 32:  # rows of a patch are long enough to be worth a matrix product
        on_cpu = _kernel_gradient_by_patches
    default = _kernel_gradient_by_convolution
    return _by_platform(on_cpu, default, geometry, images, features)


def _is_faster_in_blocks(geometry: Geometry, channels: int, out: int) -> bool:
    """Whether blocks, which `conv` and its kernel gradient share, are worth it."""
    is_of_few_taps = geometry.is_of_blocks and max(geometry.taps) <= 2
    return is_of_few_taps and channels >= 32 and channels >= out


def _by_platform(
    on_cpu: Callable, default: Callable, geometry: Geometry, *arrays: jax.Array
) -> jax.Array:
    on_cpu, others = (functools.partial(form, geometry) for form in (on_cpu, default))
    if on_cpu.func is default:
        return others(*arrays)
    return lax.platform_dependent(*arrays, cpu=on_cpu, default=others)


def _lax_conv(geometry: Geometry, images: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        images,
        kernel,
        window_strides=(geometry.stride, geometry.stride),
        padding=[(geometry.padding, geometry.padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _transpose_by_dilation(
    geometry: Geometry, features: jax.Array, kernel: jax.Array
) -> jax.Array:
    low = [size - 1 - geometry.padding for size in geometry.kernel_size]
    # What is left of the image: it need not be a whole number of strides.
    high = [
        image - (rows - 1) * geometry.stride - 1 + geometry.padding
        for image, rows in zip(geometry.image_size, features.shape[1:3], strict=True)
    ]
    return _lax_transpose(
        features,
        kernel[::-1, ::-1],
        padding=list(zip(low, high, strict=True)),
        dilation=geometry.stride,
    )


def _transpose_by_blocks(
    geometry: Geometry, features: jax.Array, kernel: jax.Array
) -> jax.Array:
    """One convolution to blocks of pixels, without zeros between the features.

    XLA's CPU program for the dilated form takes up to seven times as long.
    """
    rows, columns = geometry.taps
    taps = kernel_to_taps(geometry, kernel).reshape(rows, columns, -1, kernel.shape[3])
    edges = [(rows - 1, rows - 1), (columns - 1, columns - 1)]
    blocks = _lax_transpose(features, taps[::-1, ::-1], padding=edges)
    return blocks_to_pixels(geometry, blocks)


def _lax_transpose(
    features: jax.Array,
    kernel: jax.Array,
    *,
    padding: list[tuple[int, int]],
    dilation: int = 1,
) -> jax.Array:
    return lax.conv_general_dilated(
        features,
        kernel,
        window_strides=(1, 1),
        padding=padding,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


def _kernel_gradient_by_convolution(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
    shape = (*geometry.kernel_size, images.shape[-1], features.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, images.dtype)
    convolve = functools.partial(_lax_conv, geometry, images)
    (gradient,) = jax.linear_transpose(convolve, kernel)(features)
    return gradient


def _kernel_gradient_by_patches(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
    """The sum over positions of patch times feature, as matrix products.

    A few image rows at a time, so that their patches stay in the cache; and one kernel
    row at a time, so that these are `kernel_width` times as large as the image rows
    and not `kernel_height` times more.
    """
    stride, padding = geometry.stride, geometry.padding
    kernel_height, kernel_width = geometry.kernel_size
    batch, rows, columns, out = features.shape
    channels = images.shape[-1]
    dtype = jnp.promote_types(images.dtype, jnp.float32)
    edges = (padding, padding)
    padded = jnp.pad(images, ((0, 0), edges, edges, (0, 0)))
    step = _rows_at_a_time(rows, positions_per_row=batch * columns)
    height, width = (step - 1) * stride + 1, (columns - 1) * stride + 1

    def product(first_row, kernel_row):
        start = first_row * stride + kernel_row
        window = lax.dynamic_slice_in_dim(padded, start, height, axis=1)[:, ::stride]
        patches = jnp.concatenate(
            [window[:, :, j : j + width : stride] for j in range(kernel_width)], -1
        )
        block = lax.dynamic_slice_in_dim(features, first_row, step, axis=1)
        # The features first: as the left factor, few of them take half the time.
        return lax.dot_general(
            block,
            patches,
            (((0, 1, 2), (0, 1, 2)), ((), ())),
            preferred_element_type=dtype,
        )

    def add(i, total):
        return total + jnp.stack([product(i * step, k) for k in range(kernel_height)])

    zeros = jnp.zeros((kernel_height, out, kernel_width * channels), dtype)
    total = lax.fori_loop(0, rows // step, add, zeros)
    shape = (kernel_height, out, kernel_width, channels)
    return jnp.moveaxis(total.reshape(shape), 1, 3).astype(images.dtype)


def _rows_at_a_time(rows: int, *, positions_per_row: int) -> int:
    """The largest divisor of `rows` that makes at most 2048 positions, or 1."""
    limit = max(1, 2048 // positions_per_row)
    return max(d for d in range(1, rows + 1) if rows % d == 0 and d <= limit)
