"""Codes on one scale: standardised, or as ranks."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real


def is_constant(
    columns: Real[Array | np.ndarray, " example *column"],
) -> Bool[Array | np.ndarray, "*column"]:
    """Whether all examples of a column are equal; exactly, unlike that a spread is 0.

    The mean of equal numbers is rounded, so they would seem to vary a little.
    """
    return (columns == columns[:1]).all(0)


def centred(columns: Float[Array, "example column"]) -> Float[Array, "example column"]:
    """Deviations from the mean, right also where it is far larger than they are.

    The mean of large numbers is rounded by more than small deviations; that of the
    differences from one of the examples is not. A constant becomes exactly 0.
    """
    shifted = columns - columns[:1]
    return shifted - shifted.mean(0)[None]


def mean_and_spread(
    columns: Float[Array, "example column"],
) -> tuple[Float[Array, " column"], Float[Array, " column"]]:
    """Mean and standard deviation; a constant's is infinite, so it scales to 0."""
    spread = jnp.where(is_constant(columns), jnp.inf, centred(columns).std(0))
    return columns.mean(0), spread


def standardised(
    train: Float[Array, "train latent"], *others: Float[Array, "_ latent"]
) -> tuple[Float[Array, "_ latent"], ...]:
    """All with the mean and standard deviation of `train`; its constants become 0."""
    _, spread = mean_and_spread(train)
    first = train[:1]
    mean = (train - first).mean(0)
    return tuple(
        (codes - first - mean[None]) / spread[None] for codes in (train, *others)
    )


def average_ranks(values: Float[Array, " n"]) -> Float[Array, " n"]:
    """From 1 to n; equal values share the mean of their ranks."""
    ascending = jnp.sort(values)
    below = jnp.searchsorted(ascending, values, side="left", method="sort")
    up_to = jnp.searchsorted(ascending, values, side="right", method="sort")
    return (below + up_to + 1) / 2
