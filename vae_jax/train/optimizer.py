"""The optimiser and learning-rate schedules that experiments share."""

from typing import Literal

import optax


def learning_rate(
    peak: float,
    *,
    steps: int,
    warmup_steps: int = 0,
    schedule: Literal["constant", "cosine"] = "constant",
) -> optax.Schedule:
    """Linear from 0 to `peak` over `warmup_steps`, then constant or cosine to 0.

    The cosine reaches 0 at `steps`, the length of the run, warm-up included.
    """
    if not 0 <= warmup_steps < steps:
        raise ValueError(
            f"learning_rate: warmup_steps must be in [0, steps), got {warmup_steps} "
            f"of {steps} steps."
        )
    match schedule:
        case "constant":
            after = optax.constant_schedule(peak)
        case "cosine":
            after = optax.cosine_decay_schedule(peak, steps - warmup_steps)
    warmup = optax.linear_schedule(0.0, peak, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])


def adam(
    learning_rate: float | optax.Schedule,
    *,
    clip_norm: float | None = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, after the gradient's global norm is clipped."""
    adamw = optax.adamw(learning_rate, weight_decay=weight_decay)
    if clip_norm is None:
        return adamw
    return optax.chain(optax.clip_by_global_norm(clip_norm), adamw)
