"""What each latent is used for while a model trains: rate, activity, collapse."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vae_jax.arrays import at_least_float32
from vae_jax.distributions import normal_kl


class LatentUse(NamedTuple):
    """Figures of each latent over a set of examples."""

    kl: Float[Array, " latent"]
    """Mean KL to the prior, in nats; the sum is the rate."""
    share: Float[Array, " latent"]
    """Of the rate; the sum is 1, or 0 where the rate is 0."""
    activity: Float[Array, " latent"]
    """Variance of the posterior mean over examples."""
    is_active: Bool[Array, " latent"]
    """Whether the activity is above the threshold; the sum is the active units."""


def latent_use(
    mean: Float[Array, "example latent"],
    logvar: Float[Array, "example latent"],
    *,
    activity_threshold: float = 0.01,
) -> LatentUse:
    """How the posteriors N(mean, exp(logvar)) of a set of examples use the latents.

    Raises:
        ValueError: If there are less than two examples.

    Source: of active units and their threshold, Burda et al. 2016 (IWAE), section 5.
    """
    if len(mean) < 2:
        raise ValueError(
            "latent_use: the activity is a variance over examples and needs at least "
            f"two, got {len(mean)}."
        )
    kl = normal_kl(mean, logvar, 0.0, 0.0).mean(0)
    rate = kl.sum()
    share = kl / jnp.where(rate == 0, 1.0, rate)
    means = at_least_float32(mean)
    activity = (means - means[:1]).var(0, ddof=1)  # right however far from 0
    return LatentUse(kl, share, activity, activity > activity_threshold)


def collapse_message(
    kl_per_latent: Float[Array | np.ndarray, " latent"], *, threshold_nats: float
) -> str | None:
    """What is to be said if no latent has a mean KL of `threshold_nats`, else None.

    Of such a network the decoder ignores every latent. Single latents below it are
    normal where there are more latents than factors. A likelihood that needs few nats
    in all wants a lower threshold. A KL that is not a number is a collapse too.
    """
    largest = float(kl_per_latent.max())
    if largest >= threshold_nats:
        return None
    return (
        f"posterior collapse: no latent has a KL of {threshold_nats} nats, the largest "
        f"has {largest:.3g} and all together {float(kl_per_latent.sum()):.3g}; lower "
        "or anneal the weight of the rate."
    )
