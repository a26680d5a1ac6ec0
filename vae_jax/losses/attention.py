"""The attention disentanglement loss: how far two latents look at the same place."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import at_least_float32, require_equal_shapes

_FAINTEST = 1e-12
"""Peak below which a pair of maps has no gradient: a millionth of usual ones."""


def attention_disentanglement(
    map_a: Float[Array, "*batch rows columns"],
    map_b: Float[Array, "*batch rows columns"],
) -> Float[Array, "*batch"]:
    """Overlap 2 sum min(A, B) / sum(A + B) of two maps, in [0, 1] and without unit.

    1 for equal maps, 0 for disjoint ones, 2 min(1, c) / (1 + c) for B = c A; 0 where
    both maps are zero. It has no scale, so its gradient grows as the maps fade, up to a
    pair that is nowhere above 1e-12: it has none. Each pair of maps by itself, so that
    the mean over a batch has the weight's meaning at any batch size. Maps must not be
    negative. A map that is zero everywhere overlaps with none, so the loss rewards it
    as it rewards two maps that lie apart: watch `attention.empty_share` beside it.

    Raises:
        ValueError: If the shapes differ.

    Source: Liu et al. 2020, Eq. 5.
    """
    require_equal_shapes("attention_disentanglement", map_a=map_a, map_b=map_b)
    map_a, map_b = _at_unit_peak(at_least_float32(map_a), at_least_float32(map_b))
    shared = jnp.minimum(map_a, map_b).sum((-2, -1))
    total = (map_a + map_b).sum((-2, -1))
    # Neither branch may divide by zero: the gradient takes both.
    is_empty = total == 0
    return jnp.where(is_empty, 0.0, 2 * shared / jnp.where(is_empty, 1.0, total))


def _at_unit_peak(
    map_a: Float[Array, "*batch rows columns"],
    map_b: Float[Array, "*batch rows columns"],
) -> tuple[Float[Array, "*batch rows columns"], Float[Array, "*batch rows columns"]]:
    """Both over their common peak, so that no power of their sum leaves the floats.

    The overlap is the same at every scale, so its derivatives of all orders are exact
    although the peak counts as a number.
    """
    peak = jax.lax.stop_gradient(jnp.maximum(map_a, map_b).max((-2, -1), keepdims=True))
    # A subnormal peak, whose inverse may be infinite, makes empty maps.
    scale = jnp.where(peak < jnp.finfo(peak.dtype).tiny, jnp.inf, peak)

    def scaled(values: Array) -> Array:
        # One image whose maps have all but died would outweigh every other gradient.
        fixed = jax.lax.stop_gradient(values)
        return jnp.where(peak < _FAINTEST, fixed, values) / scale

    return scaled(map_a), scaled(map_b)
