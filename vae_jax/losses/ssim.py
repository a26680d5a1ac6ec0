"""Structural similarity (SSIM): how alike the surroundings of a pixel are."""

import functools
from typing import Literal, NamedTuple, assert_never

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from vae_jax.arrays import (
    at_least_float32,
    require_choice,
    require_equal_shapes,
    require_floating,
    require_pixels,
)
from vae_jax.filters import symmetric_filter

Window = Literal["gaussian", "uniform"]
Images = Num[Array, "batch rows columns channel"]

_RADIUS = 5
_SIGMA = 1.5


def ssim_map(
    images: Images,
    reconstructions: Images,
    *,
    window: Window = "gaussian",
    c1: float = 0.01,
    c2: float = 0.03,
) -> Float[Array, "batch rows columns"]:
    """SSIM of the 11x11 pixels around each pixel, in [-1, 1], averaged over channels.

    1 where both are alike, 0 where their deviations from their means have nothing to
    do with each other, less where one is the other's negative. Edges reflect.

    Args:
        images: intensities in [0, 1].
        reconstructions: compared with them; the arguments may be swapped.
        window: "gaussian", of sigma 1.5 pixels (Wang et al. 2004), or "uniform".
        c1: added to the squares of the means. The default is that of Bergmann et al.
            2018; Wang et al. take 0.01² and 0.03² for intensities in [0, 1].
        c2: added to the variances.

    Raises:
        ValueError: If the shapes differ, the window is unknown, or either is not
            floating-point, or images are not in [0, 1], as far as that is known.
    """
    require_choice("ssim_map", "window", window, Window)
    require_equal_shapes("ssim_map", images=images, reconstructions=reconstructions)
    require_pixels("ssim_map", images)
    require_floating("ssim_map", reconstructions)
    parts = similarity_parts(images, reconstructions, window=window, c1=c1, c2=c2)
    return (parts.luminance * parts.contrast_and_structure).mean(-1)


class SimilarityParts(NamedTuple):
    """What SSIM is the product of, for each pixel and channel."""

    luminance: Float[Array, "batch rows columns channel"]
    contrast_and_structure: Float[Array, "batch rows columns channel"]


def similarity_parts(
    images: Images, reconstructions: Images, *, window: Window, c1: float, c2: float
) -> SimilarityParts:
    """Both factors; the arguments are those of `ssim_map`, which checks them."""
    x, y = at_least_float32(images), at_least_float32(reconstructions)
    mean = functools.partial(symmetric_filter, weights=_weights(window))
    mean_x, mean_y = mean(x), mean(y)
    squares = jnp.square(mean_x) + jnp.square(mean_y)
    variances = mean(jnp.square(x) + jnp.square(y)) - squares
    product = mean_x * mean_y
    covariance = mean(x * y) - product
    luminance = (2 * product + c1) / (squares + c1)
    return SimilarityParts(luminance, (2 * covariance + c2) / (variances + c2))


def ssim_loss(
    images: Images,
    reconstructions: Images,
    *,
    window: Window = "gaussian",
    c1: float = 0.01,
    c2: float = 0.03,
) -> Float[Array, " batch"]:
    """1 - SSIM, averaged over pixels (Bergmann et al. 2018); in [0, 2], not in nats.

    Arguments and errors are those of `ssim_map`.
    """
    similarity = ssim_map(images, reconstructions, window=window, c1=c1, c2=c2)
    return 1 - similarity.mean((1, 2))


def _weights(window: Window) -> list[float]:
    """By distance from the centre, along one axis; both sides sum to 1."""
    match window:
        case "gaussian":
            half = np.exp(-0.5 * np.square(np.arange(_RADIUS + 1) / _SIGMA))
        case "uniform":
            half = np.ones(_RADIUS + 1)
        case _:
            assert_never(window)
    return (half / (2 * half.sum() - half[0])).tolist()
