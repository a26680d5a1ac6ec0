"""What a map usually is at a pixel of which only the reconstruction is looked at.

A network misses some of every edge and texture. How much, normal images tell: their
maps are fitted by a sum of non-negative terms, of the place and of what is drawn there.
Where an image is anomalous its reconstruction is less so, and expects little. Unlike
the mean map of normal images alone, this also serves images that are not aligned.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
from jaxtyping import Array, Float

from vae_jax.anomaly.maps import (
    AnyArray,
    ImageBatch,
    Maps,
    gaussian_blur,
    local_contrast,
)

Terms = Float[AnyArray, "batch rows columns term"]
Activation = Float[AnyArray, "batch tap_rows tap_columns feature"]


def appearance(
    reconstructions: ImageBatch,
    activation: Activation,
    usual_map: Float[AnyArray, "rows columns"],
    *,
    sigma: float,
) -> Float[Array, "batch rows columns term"]:
    """The terms that may explain a map: none of them negative, all smooth.

    A constant; the place (the mean map of normal images); the contrast of the
    reconstruction in two scales; each feature of an activation of it.

    Args:
        reconstructions: of the images.
        activation: of the encoder, given `reconstructions`; its positive part counts.
        usual_map: the mean of normal maps.
        sigma: of the smoothing, in pixels of the images, as that of the maps.
    """
    size = reconstructions.shape[1:3]
    own = _own_terms(reconstructions, usual_map, sigma)
    features = _at_size(_positive(activation), size, sigma)
    return jnp.concatenate([own, features], axis=-1)


def expected_map(
    reconstructions: ImageBatch,
    activation: Activation,
    usual_map: Float[AnyArray, "rows columns"],
    weights: Float[AnyArray, " term"],
    *,
    sigma: float,
) -> Float[Array, "batch rows columns"]:
    """The weighted sum of the terms of `appearance`, without making each of them."""
    size = reconstructions.shape[1:3]
    own = _own_terms(reconstructions, usual_map, sigma)
    count = own.shape[-1]
    add_up = functools.partial(jnp.einsum, "brct,t->brc", precision="highest")
    # Resizing and smoothing are linear: once, of the sum, is enough.
    seen = add_up(_positive(activation), jnp.asarray(weights)[count:])[..., None]
    return (
        add_up(own, jnp.asarray(weights)[:count]) + _at_size(seen, size, sigma)[..., 0]
    )


def _own_terms(
    reconstructions: ImageBatch,
    usual_map: Float[AnyArray, "rows columns"],
    sigma: float,
) -> Terms:
    shape = reconstructions.shape[:3]
    place = gaussian_blur(usual_map[None], sigma=2 * sigma)
    contrasts = [
        local_contrast(reconstructions, detail=scale * sigma / 2, window=sigma)
        for scale in (1, 3)
    ]
    return jnp.stack(
        [jnp.ones(shape), jnp.broadcast_to(place, shape), *contrasts], axis=-1
    )


def _positive(activation: Activation) -> Array:
    return jax.nn.relu(jnp.asarray(activation, jnp.float32))


def _at_size(features: Array, size: tuple[int, ...], sigma: float) -> Array:
    shape = (features.shape[0], *size, features.shape[-1])
    return gaussian_blur(jax.image.resize(features, shape, "bilinear"), sigma=sigma)


class Moments(NamedTuple):
    """Sums over the pixels of each image, all that a least-squares fit looks at."""

    terms: Float[Array, "batch term term"]
    product: Float[Array, "batch term"]


def moments(terms: Terms, maps: Maps) -> Moments:
    """Of terms with one another and with the maps that they shall explain."""
    return Moments(
        jnp.einsum("brcs,brct->bst", terms, terms, precision="highest"),
        jnp.einsum("brct,brc->bt", terms, maps, precision="highest"),
    )


def nonnegative_weights(
    terms: Float[np.ndarray, "term term"], product: Float[np.ndarray, " term"]
) -> Float[np.ndarray, " term"]:
    """The weights, none negative, whose weighted terms are nearest to the maps.

    Least squares over all normal pixels, from the sums of their `moments`.
    """
    gram, target = np.asarray(terms, np.float64), np.asarray(product, np.float64)
    # A term of any unit; one that is always 0 keeps the weight 0.
    scale = np.sqrt(np.maximum(np.diag(gram), np.finfo(np.float32).tiny))
    gram = gram / np.outer(scale, scale) + 1e-7 * np.eye(len(scale))
    factor = scipy.linalg.cholesky(gram)
    right = scipy.linalg.solve_triangular(factor, target / scale, trans=1)
    weights, _ = scipy.optimize.nnls(factor, right)
    return weights / scale


def divide_by_expected(
    maps: Maps, expected: Maps, *, floor: float | Float[Array, ""]
) -> Float[Array, "batch rows columns"]:
    """The map in units of what is expected of it, plus `floor`.

    The larger the floor, in the unit of the map, the less pixels are told apart.
    """
    return jnp.asarray(maps) / (expected + floor)
