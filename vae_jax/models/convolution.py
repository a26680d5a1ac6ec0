"""Convolution and its transpose, fast in both directions on every backend.

The number <features, conv(images, kernel)> is linear in each of its three arrays, so
its gradients are three functions, and each one's derivatives are the other two:

    conv            images, kernel   -> features
    transpose       features, kernel -> images
    kernel_gradient images, features -> kernel

On accelerators they are XLA's own convolution and what XLA derives from it. For CPUs
forms are written out, and the rule is stated here instead of left to differentiation,
because XLA's CPU programs are slow, that for the kernel gradient of a transposed
convolution 20 times slower. Which form is taken for which sizes is what was fastest in
training steps on x86-64 with AVX-512.

Under `jax.vmap` over kernels, as where many networks train at once, all three become
matrix products, see `vae_jax.models.products`.

Reverse-mode derivatives exist to any order, and under `vmap`. For a forward-mode one,
J v, transpose the pull-back: it is linear, so `jax.vjp(pull_back, zeros)[1](v)`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from vae_jax.models import products
from vae_jax.models.geometry import Geometry, blocks_to_pixels, kernel_to_taps


def conv(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "kernel_height kernel_width channel out"],
    *,
    stride: int,
    padding: int,
) -> Float[Array, "batch rows columns out"]:
    """Convolution with `padding` zeros on each side.

    rows = (height + 2 padding - kernel_height) // stride + 1, columns likewise.

    Raises:
        ValueError: The kernel is larger than the padded images.
    """
    _, height, width, _ = images.shape
    kernel_size = kernel.shape[0], kernel.shape[1]
    geometry = Geometry(stride, padding, (height, width), kernel_size)
    if min(geometry.size) < 1:
        raise ValueError(
            f"conv: the kernel must fit into the images, got {kernel_size} for "
            f"{height} x {width} pixels with {padding} more on each side."
        )
    return _conv(geometry, images, kernel)


def conv_transpose(
    features: Float[Array, "batch height width channel"],
    kernel: Float[Array, "kernel_height kernel_width channel out"],
    *,
    stride: int,
    padding: int,
) -> Float[Array, "batch rows columns out"]:
    """Transpose of a convolution: entries i and k of the arguments add to output o.

    o = i stride - padding + k, so rows = (height - 1) stride - 2 padding +
    kernel_height, columns likewise.
    """
    _, height, width, _ = features.shape
    kernel_height, kernel_width, _, _ = kernel.shape
    image_size = (
        (height - 1) * stride - 2 * padding + kernel_height,
        (width - 1) * stride - 2 * padding + kernel_width,
    )
    kernel_size = kernel_height, kernel_width
    geometry = Geometry(stride, padding, image_size, kernel_size)
    return _transpose(geometry, features, kernel.swapaxes(2, 3))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(geometry: Geometry, images: jax.Array, kernel: jax.Array) -> jax.Array:
    return _batched(_one_conv, products.conv, geometry)(images, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _transpose(geometry: Geometry, features: jax.Array, kernel: jax.Array) -> jax.Array:
    return _batched(_one_transpose, products.transpose, geometry)(features, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
    gradient = _batched(_one_kernel_gradient, products.kernel_gradient, geometry)
    return gradient(images, features)


@functools.cache
def _batched(one: Callable, many: Callable, geometry: Geometry) -> Callable:
    """`one` of the three, which `jax.vmap` over kernels turns into `many`."""
    function = custom_vmap(functools.partial(one, geometry))

    @function.def_vmap
    def rule(axis_size, in_batched, left, right):
        if axis_size == 1:
            pair = zip((left, right), in_batched, strict=True)
            return function(*(x[0] if mapped else x for x, mapped in pair))[None], True
        if not in_batched[1] and many is not products.kernel_gradient:
            # One kernel for all: they are just more images.
            outputs = function(left.reshape(-1, *left.shape[2:]), right)
            return outputs.reshape(axis_size, -1, *outputs.shape[1:]), True
        axes = tuple(0 if is_batched else None for is_batched in in_batched)
        mapped = jax.vmap(functools.partial(many, geometry), in_axes=axes)
        return mapped(left, right), True

    return function


def _conv_forward(geometry, images, kernel):
    return _conv(geometry, images.value, kernel.value), _needed(images, kernel)


def _conv_backward(geometry, needed, features):
    images, kernel = needed
    return (
        None if kernel is None else _transpose(geometry, features, kernel),
        None if images is None else _kernel_gradient(geometry, images, features),
    )


def _transpose_forward(geometry, features, kernel):
    return _transpose(geometry, features.value, kernel.value), _needed(features, kernel)


def _transpose_backward(geometry, needed, images):
    features, kernel = needed
    return (
        None if kernel is None else _conv(geometry, images, kernel),
        None if features is None else _kernel_gradient(geometry, images, features),
    )


def _kernel_gradient_forward(geometry, images, features):
    gradient = _kernel_gradient(geometry, images.value, features.value)
    return gradient, _needed(images, features)


def _kernel_gradient_backward(geometry, needed, kernel):
    images, features = needed
    return (
        None if features is None else _transpose(geometry, features, kernel),
        None if images is None else _conv(geometry, images, kernel),
    )


def _needed(left, right):
    """Each of two factors if there is to be a derivative by the other, else None."""
    return (
        left.value if right.perturbed else None,
        right.value if left.perturbed else None,
    )


_conv.defvjp(_conv_forward, _conv_backward, symbolic_zeros=True)
_transpose.defvjp(_transpose_forward, _transpose_backward, symbolic_zeros=True)
_kernel_gradient.defvjp(
    _kernel_gradient_forward, _kernel_gradient_backward, symbolic_zeros=True
)


def _one_conv(geometry: Geometry, images: jax.Array, kernel: jax.Array) -> jax.Array:
    on_cpu = _lax_conv
    channels, out = kernel.shape[2:]
    is_small_block = geometry.is_of_blocks and geometry.stride**2 * channels <= out
    if is_small_block or _is_faster_in_blocks(geometry, channels, out):
        on_cpu = products.conv
    return _by_platform(on_cpu, _lax_conv, geometry, images, kernel)


def _one_transpose(
    geometry: Geometry, features: jax.Array, kernel: jax.Array
) -> jax.Array:
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


def _one_kernel_gradient(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
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
