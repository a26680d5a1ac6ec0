"""Codes on one scale: standardised, or as ranks."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def standardised(
    train: Float[Array, "train latent"], *others: Float[Array, "_ latent"]
) -> tuple[Float[Array, "_ latent"], ...]:
    """All with the mean and standard deviation of `train`; its constants become 0."""
    constant = (train == train[:1]).all(0)
    mean, std = train.mean(0), jnp.where(constant, jnp.inf, train.std(0))
    return tuple((codes - mean[None]) / std[None] for codes in (train, *others))


def average_ranks(values: Float[Array, " n"]) -> Float[Array, " n"]:
    """From 1 to n; equal values share the mean of their ranks."""
    ascending = jnp.sort(values)
    below = jnp.searchsorted(ascending, values, side="left", method="sort")
    up_to = jnp.searchsorted(ascending, values, side="right", method="sort")
    return (below + up_to + 1) / 2
