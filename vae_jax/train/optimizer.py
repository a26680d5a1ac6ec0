"""The optimiser and learning-rate schedules that experiments share."""

from collections.abc import Mapping
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

    Raises:
        ValueError: If warmup_steps is not in [0, steps) or the schedule is unknown.
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
        case _:
            raise ValueError(
                "learning_rate: schedule must be one of constant, cosine, got "
                f"{schedule!r}."
            )
    warmup = optax.linear_schedule(0.0, peak, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])


def adam(
    learning_rate: float | optax.Schedule,
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    clip_norm: float | None = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, after the gradient's global norm is clipped.

    `betas` are the decay rates of the means of the gradient and of its square.
    """
    first, second = betas
    adamw = optax.adamw(learning_rate, b1=first, b2=second, weight_decay=weight_decay)
    if clip_norm is None:
        return adamw
    return optax.chain(optax.clip_by_global_norm(clip_norm), adamw)


def by_part(
    optimizers: Mapping[str, optax.GradientTransformation],
) -> optax.GradientTransformation:
    """An optimiser for each top-level entry of the parameters, by its name.

    One loss with the gradients stopped in the right places then trains adversaries, as
    a VAE and its discriminator, in one update.

    Raises:
        ValueError: When initialised, if the names are not those of the parameters.
    """

    def label(params: Mapping) -> dict[str, str]:
        if set(params) != set(optimizers):
            raise ValueError(
                "by_part: there must be one optimiser for each part of the parameters, "
                f"{sorted(params)}, got {sorted(optimizers)}."
            )
        return {name: name for name in params}

    return optax.partition({**optimizers}, label)
