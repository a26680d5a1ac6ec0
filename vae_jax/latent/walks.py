"""Latents worth decoding: between two, along one, across a plane, shifted by others."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

Decode = Callable[[Float[Array, "batch latent"]], Float[Array, "batch ..."]]
"""From latents to images, each by itself: means, or logits where these are compared."""


class Range(NamedTuple):
    """From where to where each latent is traversed."""

    low: Float[Array, " latent"]
    high: Float[Array, " latent"]


def linear_interpolation(
    start: Float[Array, "*batch latent"],
    end: Float[Array, "*batch latent"],
    *,
    steps: int,
) -> Float[Array, "*batch {steps} latent"]:
    """Evenly spaced points of the straight line, both ends among them.

    Raises:
        ValueError: Fewer than two steps.
    """
    _require_both_ends("linear_interpolation", steps)
    return jnp.linspace(start, end, steps, axis=-2)


def spherical_interpolation(
    start: Float[Array, "*batch latent"],
    end: Float[Array, "*batch latent"],
    *,
    steps: int,
) -> Float[Array, "*batch {steps} latent"]:
    """Points at even angles of the arc around the origin, both ends among them.

    Between ends of one norm all points have that norm, as samples of a normal prior in
    many dimensions nearly do (White 2016, "Sampling generative networks", section 2.1).
    NaN where the ends point in opposite directions, up to rounding: no arc is the
    shortest.

    Raises:
        ValueError: Fewer than two steps.
    """
    _require_both_ends("spherical_interpolation", steps)
    a, b = _direction(start), _direction(end)
    apart, along = _length(a - b), _length(a + b)
    # Of the arccosine of the product, half of the digits would be lost near 0. The
    # angle at the origin itself is 0, and so is its slope.
    angle = 2 * jnp.arctan2(apart, jnp.where(apart == 0, 1.0, along))[..., None, :]
    share = jnp.linspace(jnp.zeros_like(angle), 1.0, steps, axis=-3).squeeze(-2)

    def weight(share: Array) -> Array:
        # sin(share angle) / sin(angle), with its limit at 0.
        turn = angle / jnp.pi
        ratio = share * jnp.sinc(share * turn) / jnp.sinc(turn)
        # So near to opposite, rounding takes half of the digits of the arc's plane.
        return jnp.where(turn > 1 - jnp.finfo(turn.dtype).eps ** 0.5, jnp.nan, ratio)

    return weight(1 - share) * start[..., None, :] + weight(share) * end[..., None, :]


def arithmetic(
    latents: Float[Array, "*batch latent"],
    *,
    add: Float[Array, "present latent"],
    subtract: Float[Array, "absent latent"],
) -> Float[Array, "*batch latent"]:
    """Shifts latents by mean(add) - mean(subtract), what only `add` has in common.

    Larsen et al. 2016, section 4.2: vectors of visual attributes.

    Raises:
        ValueError: Nothing to add, or nothing to subtract.
    """
    _require_examples("arithmetic", add=add, subtract=subtract)
    direction = add.mean(0) - subtract.mean(0)
    return latents + jnp.broadcast_to(direction, latents.shape)


def prior_range(latents: int, *, deviations: float) -> Range:
    """So many standard deviations of the prior N(0, 1) to either side."""
    return _around(jnp.zeros(latents), jnp.full(latents, deviations))


def posterior_range(
    mean: Float[Array, " latent"],
    logvar: Float[Array, " latent"],
    *,
    deviations: float,
) -> Range:
    """So many standard deviations of one posterior N(mean, exp(logvar)), around it."""
    return _around(mean, deviations * jnp.exp(logvar / 2))


def fitted_range(codes: Float[Array, "example latent"], *, deviations: float) -> Range:
    """So many standard deviations of the codes of a data set, around their mean.

    Raises:
        ValueError: No code.
    """
    _require_examples("fitted_range", codes=codes)
    return _around(codes.mean(0), deviations * codes.std(0))


def observed_range(codes: Float[Array, "example latent"]) -> Range:
    """From the least to the greatest code of a data set.

    Raises:
        ValueError: No code.
    """
    _require_examples("observed_range", codes=codes)
    return Range(codes.min(0), codes.max(0))


def traversals(
    latents: Float[Array, " latent"], within: Range, *, steps: int
) -> Float[Array, "latent {steps} latent"]:
    """Row i sets latent i to evenly spaced values of its range, and no other.

    To order the rows by how much the latents say, index them with `argsort(-kl)`.

    Raises:
        ValueError: Fewer than two steps.
    """
    _require_both_ends("traversals", steps)
    values = jnp.linspace(within.low, within.high, steps, axis=-1)
    is_moved = jnp.eye(len(latents), dtype=bool)[:, None, :]
    return jnp.where(is_moved, values[:, :, None], latents[None, None, :])


def manifold_grid(*, steps: int) -> Float[Array, "{steps} {steps} 2"]:
    """A plane of two latents that cuts their prior N(0, 1) into equally likely cells.

    At the quantiles (i + 1/2) / steps (Kingma and Welling 2014, Figure 4). The first
    latent grows along a row, the second from the last row up to the first.

    Raises:
        ValueError: Fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"manifold_grid: steps must be at least 1, got {steps}.")
    quantiles = norm.ppf((jnp.arange(steps) + 0.5) / steps)
    return jnp.stack(jnp.meshgrid(quantiles, quantiles[::-1]), axis=-1)


def decode_all(
    decode: Decode, latents: Float[Array, "*axes latent"]
) -> Float[Array, "..."]:
    """Images of latents on any axes, such as rows and steps, decoded as one batch.

    The axes of an image take the place of the last.
    """
    images = decode(latents.reshape(-1, latents.shape[-1]))
    return images.reshape(*latents.shape[:-1], *images.shape[1:])


def _require_both_ends(name: str, steps: int) -> None:
    if steps < 2:
        raise ValueError(f"{name}: steps must be at least 2, both ends, got {steps}.")


def _require_examples(name: str, **sets: Array) -> None:
    for argument, examples in sets.items():
        if not len(examples):
            raise ValueError(
                f"{name}: {argument} must hold at least 1 example, got 0; encode some."
            )


def _around(centre: Float[Array, " latent"], reach: Float[Array, " latent"]) -> Range:
    return Range(centre - reach, centre + reach)


def square_root(squares: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """With slope 0 at 0, not infinity: a distance of equal points has a gradient."""
    is_zero = squares == 0
    # Neither branch may have an infinite slope: the gradient takes both.
    return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squares)))


def _length(vectors: Float[Array, "*batch latent"]) -> Float[Array, "*batch 1"]:
    return square_root(jnp.square(vectors).sum(-1, keepdims=True))


def _direction(vectors: Float[Array, "*batch latent"]) -> Float[Array, "*batch latent"]:
    length = _length(vectors)
    return vectors / jnp.where(length == 0, 1.0, length)
