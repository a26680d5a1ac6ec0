"""Linear filters of images, fast in both directions on every backend."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def symmetric_filter(
    images: Float[Array, "batch rows columns *channel"], weights: Sequence[float]
) -> Float[Array, "batch rows columns *channel"]:
    """Weighs the pixels at distance d by `weights[d]`, along rows and along columns.

    A pixel's reflection at the edge includes itself (d c b a | a b c d | d c b a), so
    that where the weights, all but the first counted twice, add up to 1, a flat image
    stays flat and the sum of an image is kept. For a derivative in forward mode see
    `models.convolution`: there is only that in reverse mode, to any order.
    """
    return _filter(tuple(weights), images)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _filter(weights: tuple[float, ...], images: jax.Array) -> jax.Array:
    return _along(1, weights, _along(2, weights, images))


def _along(axis: int, weights: tuple[float, ...], images: jax.Array) -> jax.Array:
    radius = len(weights) - 1
    edges = [(0, 0)] * images.ndim
    edges[axis] = radius, radius
    # Shifted sums fuse into one loop; a one-channel convolution is slow on CPUs. The
    # barriers keep the loop from computing again, for each shift, what came before it.
    padded = jax.lax.optimization_barrier(jnp.pad(images, edges, mode="symmetric"))
    shifted = (
        weights[abs(shift)]
        * jax.lax.slice_in_dim(
            padded, radius + shift, radius + shift + images.shape[axis], axis=axis
        )
        for shift in range(-radius, radius + 1)
    )
    return jax.lax.optimization_barrier(functools.reduce(jnp.add, shifted))


def _filter_forward(weights, images):
    return _filter(weights, images), None


def _filter_backward(weights, _, images):
    # As a matrix the filter is symmetric, the reflections included: it is its own
    # transpose. What differentiation makes of it instead is 10 times slower on CPUs.
    return (_filter(weights, images),)


_filter.defvjp(_filter_forward, _filter_backward)
