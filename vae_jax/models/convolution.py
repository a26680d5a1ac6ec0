"""Convolution and its transpose, in the formulation that each backend runs fastest."""

from jax import lax
from jaxtyping import Array, Float

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def conv(
    images: Float[Array, "batch height width channel"],
    kernel: Float[Array, "kernel_height kernel_width channel out"],
    *,
    stride: int,
    padding: int,
) -> Float[Array, "batch rows columns out"]:
    """Convolution with `padding` zeros on each side.

    rows = (height + 2 padding - kernel_height) // stride + 1, columns likewise.
    """
    return lax.conv_general_dilated(
        images,
        kernel,
        window_strides=(stride, stride),
        padding=[(padding, padding)] * 2,
        dimension_numbers=_LAYOUT,
    )


def conv_transpose(
    features: Float[Array, "batch height width channel"],
    kernel: Float[Array, "kernel_height kernel_width channel out"],
    *,
    stride: int,
    padding: int,
) -> Float[Array, "batch rows columns out"]:
    """Transpose of a convolution: entry i, k of the input and kernel adds to output o.

    o = i stride - padding + k, so rows = (height - 1) stride - 2 padding +
    kernel_height, columns likewise.
    """
    edges = [size - 1 - padding for size in kernel.shape[:2]]
    return lax.conv_general_dilated(
        features,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=[(edge, edge) for edge in edges],
        lhs_dilation=(stride, stride),
        dimension_numbers=_LAYOUT,
    )
