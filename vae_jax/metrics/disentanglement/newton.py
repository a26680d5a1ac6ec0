"""Newton's method for convex functions of at most some thousand parameters."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Point: TypeAlias = Float[Array, " parameter"]

_LEAST_DAMPING = 1e-6  # of the curvature of each parameter alone
_SHORTEST = 2.0**-20  # of a step; below, only rounding is left
_ROUNDING = 2e-7  # of the value, relative
_OVERSHOT = 0.1  # of the slope at a step's start, that it may rise by at its end


class _Place(NamedTuple):
    point: Point
    value: Float[Array, ""]
    gradient: Point


def newton(
    value: Callable[[Point], Float[Array, ""]],
    hessian: Callable[[Point], Float[Array, "parameter parameter"]],
    start: Point,
    *,
    tolerance: float | Float[Array, ""] = 1e-8,
    iterations: int = 50,
) -> Point:
    """The minimum of a convex function, by Newton steps halved until they descend.

    Stops after a step whose Newton decrement, twice what the step is expected to gain,
    is at most `tolerance` of the value at the start. Scaling a parameter changes
    neither the steps nor this.
    """

    def at(point: Point) -> _Place:
        return _Place(point, *jax.value_and_grad(value)(point))

    first = at(start)

    def step(state: tuple) -> tuple:
        place, _, iteration = state
        # The precision of the start holds, also where 64 bits are enabled.
        curvature = hessian(place.point).astype(start.dtype)
        change = _solve(curvature, place.gradient)
        decrement = place.gradient @ change
        found, length = _search(at, place, change)
        moved = length >= _SHORTEST
        kept = jax.tree.map(lambda new, old: jnp.where(moved, new, old), found, place)
        return kept, moved & (decrement > tolerance * first.value), iteration + 1

    def is_moving(state: tuple) -> Bool[Array, ""]:
        return state[1] & (state[2] < iterations)

    last, _, _ = jax.lax.while_loop(is_moving, step, (first, jnp.array(True), 0))
    return last.point


def _search(
    at: Callable[[Point], _Place], start: _Place, change: Point
) -> tuple[_Place, Float[Array, ""]]:
    """The place after the longest of 1, 1/2, 1/4, ... of the step that descends."""

    def is_too_long(state: tuple) -> Bool[Array, ""]:
        found, length = state
        descends = found.value <= start.value + _ROUNDING * jnp.abs(start.value)
        # What the value's rounding hides, the slope shows.
        rises = -found.gradient @ change > _OVERSHOT * start.gradient @ change
        return (length > 1) | ~descends | rises

    def halve(state: tuple) -> tuple:
        length = state[1] / 2
        return at(start.point - length * change), length

    return jax.lax.while_loop(
        lambda state: is_too_long(state) & (state[1] >= _SHORTEST),
        halve,
        (start, jnp.array(2.0, change.dtype)),
    )


def _solve(hessian: Float[Array, "parameter parameter"], gradient: Point) -> Point:
    """hessian^-1 gradient; the diagonal is enlarged until it can be factorised."""
    diagonal = jnp.diag(hessian)
    # What has no curvature has no gradient, and stays where it is.
    diagonal = jnp.where(diagonal > 0, diagonal, 1)

    def has_failed(state: tuple) -> Bool[Array, ""]:
        damping, change = state
        return ~jnp.isfinite(change).all() & (damping < 1)

    def enlarge(state: tuple) -> tuple:
        damping = 10 * state[0]
        factor = jax.scipy.linalg.cho_factor(hessian + jnp.diag(damping * diagonal))
        return damping, jax.scipy.linalg.cho_solve(factor, gradient)

    least = jnp.array(_LEAST_DAMPING / 10, gradient.dtype)
    unsolved = least, jnp.full_like(gradient, jnp.nan)
    return jax.lax.while_loop(has_failed, enlarge, unsolved)[1]
