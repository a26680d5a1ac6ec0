"""Schedules of the rate's weight: a step in, a weight in [0, 1] out.

Multiply by the final weight (`beta=4.0 * linear_beta(step, warmup_steps=1000)`) or, of
`capacity_penalty`, by the final capacity. Steps and lengths may be traced: of a length
inside jit it is not known whether it is positive.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from vae_jax.arrays import IntLike, known

_MOST_CYCLES = 2**15 - 1


def linear_beta(step: ScalarLike, *, warmup_steps: IntLike) -> Float[Array, ""]:
    """Rises in a straight line from 0 at step 0 to 1 at `warmup_steps`, then stays.

    Raises:
        ValueError: If warmup_steps is below 1.
    """
    _require_positive("linear_beta", "warmup_steps", warmup_steps)
    return _ramp(step, warmup_steps)


def cosine_beta(step: ScalarLike, *, warmup_steps: IntLike) -> Float[Array, ""]:
    """Rises along half a cosine from 0 at step 0 to 1 at `warmup_steps`, then stays.

    Raises:
        ValueError: If warmup_steps is below 1.
    """
    _require_positive("cosine_beta", "warmup_steps", warmup_steps)
    return 0.5 - 0.5 * jnp.cos(jnp.pi * _ramp(step, warmup_steps))


def cyclical_beta(
    step: ScalarLike,
    *,
    total_steps: IntLike,
    cycles: int = 4,
    ramp_fraction: float = 0.5,
) -> Float[Array, ""]:
    """Rises linearly from 0 to 1 `cycles` times, and is 1 after `total_steps`.

    Each cycle rises during its first `ramp_fraction` and stays at 1 for the rest.

    Raises:
        ValueError: If cycles is below 1 or above 32767, total_steps is below cycles, or
            ramp_fraction is outside (0, 1].

    Source: Fu et al. 2019, Eq. 6 and 7.
    """
    _require_positive("cyclical_beta", "cycles", cycles)
    if cycles > _MOST_CYCLES:
        raise ValueError(
            f"cyclical_beta: cycles must be at most {_MOST_CYCLES}, got {cycles}; more "
            "would overflow 32-bit steps."
        )
    steps = known(total_steps)
    if steps is not None and steps < cycles:
        raise ValueError(
            f"cyclical_beta: total_steps must be at least cycles={cycles}, "
            f"got {total_steps}."
        )
    if not 0 < ramp_fraction <= 1:
        raise ValueError(
            f"cyclical_beta: ramp_fraction must be in (0, 1], got {ramp_fraction}."
        )
    step = jnp.asarray(step, jnp.result_type(step, jnp.int32))
    weight = _ramp(_position(step, total_steps, cycles), total_steps * ramp_fraction)
    return jnp.where(step < total_steps, weight, 1.0)


def _position(step: Array, total_steps: IntLike, cycles: int) -> Array:
    """(step cycles) modulo total_steps: where in its cycle, in steps over cycles.

    In whole numbers, as float32 would lose the position late in a long run; and without
    the product, which would overflow. With total_steps = length cycles + rest and
    step = cycle length + within, it is within cycles - cycle rest.
    """
    length, rest = divmod(total_steps, cycles)
    cycle, within = jnp.divmod(step, length)
    # The products are below total_steps and 2 cycles², and so below 2^31.
    return (within * cycles - cycle * rest) % total_steps


def _ramp(step: ScalarLike, length: ScalarLike) -> Float[Array, ""]:
    return jnp.clip(jnp.asarray(step, jnp.float32) / length, 0.0, 1.0)


def _require_positive(function: str, name: str, steps: IntLike) -> None:
    host = known(steps)
    if host is not None and host < 1:
        raise ValueError(f"{function}: {name} must be at least 1, got {steps}.")
