"""Convolution and its transpose, fast in both directions on every backend.

The number <features, conv(images, kernel)> is linear in each of its three arrays, so
its gradients are three functions, and each one's derivatives are the other two:

    conv            images, kernel   -> features
    transpose       features, kernel -> images
    kernel_gradient images, features -> kernel

The rule is stated here instead of left to differentiation, so that each of the three
takes the form that a platform computes fastest: `vae_jax.models.convolution.forms`.

Under `jax.vmap` over kernels, as where many networks train at once, all three become
matrix products, see `vae_jax.models.convolution.products`.

Reverse-mode derivatives exist to any order, and under `vmap`. For a forward-mode one,
J v, transpose the pull-back: it is linear, so `jax.vjp(pull_back, zeros)[1](v)`.
"""

import functools
from collections.abc import Callable

import jax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from vae_jax.models.convolution import forms, products
from vae_jax.models.convolution.geometry import Geometry


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
    return _batched(forms.conv, products.conv, geometry)(images, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _transpose(geometry: Geometry, features: jax.Array, kernel: jax.Array) -> jax.Array:
    return _batched(forms.transpose, products.transpose, geometry)(features, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(
    geometry: Geometry, images: jax.Array, features: jax.Array
) -> jax.Array:
    gradient = _batched(forms.kernel_gradient, products.kernel_gradient, geometry)
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
