"""The attention disentanglement loss: how far two latents look at the same place."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.distributions import at_least_float32, require_equal_shapes


def attention_disentanglement(
    map_a: Float[Array, "*batch rows columns"],
    map_b: Float[Array, "*batch rows columns"],
) -> Float[Array, "*batch"]:
    """Overlap 2 sum min(A, B) / sum(A + B) of two maps, in [0, 1] and without unit.

    1 for equal maps, 0 for disjoint ones, 2 min(1, c) / (1 + c) for B = c A; 0 where
    both maps are zero, with a zero gradient. Each pair of maps by itself, so that the
    mean over a batch has the weight's meaning at any batch size. Maps must not be
    negative.

    Raises:
        ValueError: If the shapes differ.

    Source: Liu et al. 2020, Eq. 5.
    """
    require_equal_shapes("attention_disentanglement", map_a=map_a, map_b=map_b)
    map_a, map_b = at_least_float32(map_a), at_least_float32(map_b)
    shared = jnp.minimum(map_a, map_b).sum((-2, -1))
    total = (map_a + map_b).sum((-2, -1))
    # Neither branch may divide by zero: the gradient takes both.
    is_empty = total == 0
    return jnp.where(is_empty, 0.0, 2 * shared / jnp.where(is_empty, 1.0, total))
