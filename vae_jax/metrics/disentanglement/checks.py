"""What a metric refuses, in one line that names it.

Values cannot be told inside a trace, as of `jax.vmap` over runs; there only shapes are
checked.
"""

from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax.arrays import known
from vae_jax.metrics.disentanglement.factors import (
    Factors,
    Split,
    constant_factor,
    split_classes,
)

Unchecked: TypeAlias = Float[Array | np.ndarray, "..."]
"""Of any shape, as users may give it."""


def checked_codes(
    function: str, codes: Unchecked, factors: Factors | None = None
) -> Float[Array, "example latent"]:
    """The codes in float32 on the device.

    Raises:
        ValueError: from `function`, if the codes are not [example latent], one is not
            finite, or the examples of codes and factors differ in number.
    """
    codes = jnp.asarray(codes, jnp.float32)
    if codes.ndim != 2 or not codes.size:
        raise ValueError(
            f"{function}: codes must be [example latent] and not empty, got shape "
            f"{codes.shape}; one latent is codes[:, None]."
        )
    if factors is not None and len(codes) != factors.number:
        raise ValueError(
            f"{function}: codes and factors must describe the same examples, got "
            f"{len(codes)} codes and {factors.number} examples."
        )
    _require_finite(function, "codes", codes)
    return codes


def checked_logvar(
    function: str, logvar: Unchecked, mean: Float[Array, "example latent"]
) -> Float[Array, "example latent"]:
    """The log-variances in float32 on the device.

    Raises:
        ValueError: from `function`, if they are not of the shape of `mean` or finite.
    """
    logvar = jnp.asarray(logvar, jnp.float32)
    if logvar.shape != mean.shape:
        raise ValueError(
            f"{function}: logvar must be of each example and latent as the codes, "
            f"{mean.shape}, got shape {logvar.shape}."
        )
    _require_finite(function, "logvar", logvar)
    return logvar


def checked_kl(
    function: str, kl: Unchecked, *, shape: tuple[int, ...]
) -> Float[Array, "*run latent"]:
    """The mean KL of each latent in float32 on the device.

    Raises:
        ValueError: from `function`, if they are not of this shape or finite.
    """
    kl = jnp.asarray(kl, jnp.float32)
    if kl.shape != shape:
        raise ValueError(
            f"{function}: kl must be the mean over examples of each latent, shape "
            f"{shape}, got {kl.shape}."
        )
    _require_finite(function, "kl", kl)
    return kl


def checked_split(function: str, split: Split, factors: Factors) -> Split:
    """The split, of which every part can be used.

    Raises:
        ValueError: from `function`, if a part is empty or names examples that there
            are not, or a factor has one value in all examples to fit on.
    """
    for part, index in split._asdict().items():
        places = known(index)
        if places is None:
            continue
        got = f"{places.min()} to {places.max()}" if places.size else "none"
        if not places.size or places.min() < 0 or places.max() >= factors.number:
            raise ValueError(
                f"{function}: split.{part} must be some of the examples 0 to "
                f"{factors.number - 1}, got {got}."
            )
    constant = constant_factor(factors.classes(split.train))
    if constant is not None:
        raise ValueError(
            f"{function}: every factor must vary in the examples to fit on, factor "
            f"{constant} has one value in all {len(split.train)}; take more."
        )
    return split


def require_scored(function: str, split: Split, factors: Factors) -> None:
    """Raises a ValueError from `function` if a factor has no class to be ranked by."""
    fitted, scored = map(known, split_classes(factors, split))
    if fitted is None or scored is None:
        return
    for factor, (train_classes, test_classes) in enumerate(
        zip(fitted, scored, strict=True)
    ):
        values = np.unique(test_classes)
        if len(values) < 2 or not np.isin(values, train_classes).any():
            raise ValueError(
                f"{function}: every factor must have two values in the examples to "
                f"score on, one of them fitted; factor {factor} has {values.tolist()}; "
                "take more."
            )


def require_two_latents(function: str, number: int) -> None:
    """Raises a ValueError from `function` if there are fewer than two latents."""
    if number < 2:
        raise ValueError(
            f"{function}: latents are compared, which needs two, got {number}."
        )


def require_two_factors(function: str, number: int) -> None:
    """Raises a ValueError from `function` if there are fewer than two factors."""
    if number < 2:
        raise ValueError(
            f"{function}: factors are compared, which needs two, got {number}."
        )


def require_two_examples(function: str, number: int) -> None:
    """Raises a ValueError from `function` if there are fewer than two examples."""
    if number < 2:
        raise ValueError(
            f"{function}: a variance over examples needs two, got {number}."
        )


def require_bins(function: str, bins: int, *, name: str = "bins") -> None:
    """Raises a ValueError from `function` if nothing is told apart."""
    if bins < 2:
        raise ValueError(f"{function}: {name} must be at least 2, got {bins}.")


def _require_finite(function: str, name: str, values: Float[Array, "..."]) -> None:
    finite = known(jnp.isfinite(values).all(tuple(range(values.ndim - 1))))
    if finite is not None and not finite.all():
        raise ValueError(
            f"{function}: {name} must be finite, latent {int(finite.argmin())} is not; "
            "leave out a run that diverged."
        )
