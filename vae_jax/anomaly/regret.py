"""Likelihood regret: what a posterior of an image's own gains over the encoder's."""

from collections.abc import Callable
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from vae_jax.distributions import reparameterise
from vae_jax.losses import gaussian_kl

LogLikelihood = Callable[[Float[Array, "batch latent"]], Float[Array, " batch"]]
"""log p(image | latents) of every image of a batch, each at latents of its own."""


class Posterior(NamedTuple):
    """A diagonal normal for each image."""

    mean: Float[Array, "batch latent"]
    logvar: Float[Array, "batch latent"]


def likelihood_regret(
    log_likelihood: LogLikelihood,
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    noise: Float[Array, "sample latent"],
    *,
    steps: int = 50,
    learning_rate: float = 0.05,
) -> Float[Array, " batch"]:
    """The greatest ELBO that Adam finds from the encoder's posterior, less that one's.

    In nats, at least 0, higher for images that the encoder was not made for. Where the
    likelihood depends on how much there is to draw, both ELBOs do, and their difference
    hardly. The decoder stays as it is. Xiao et al. move the encoder's parameters, which
    is as free for one image and takes far longer.

    Args:
        log_likelihood: The decoder with its likelihood, for these images.
        mean: Of the encoder's posterior.
        logvar: Of the encoder's posterior.
        noise: Standard normal, the same for all images and steps, so that the ELBO is a
            function; few samples are soon fitted themselves.
        steps: Of Adam.
        learning_rate: Of Adam.

    Source: Xiao et al. 2020, "Likelihood regret", Eq. 5.
    """

    def elbo(posterior: Posterior) -> Float[Array, " batch"]:
        def at(noise: Float[Array, " latent"]) -> Float[Array, " batch"]:
            common = jnp.broadcast_to(noise, posterior.mean.shape)
            return log_likelihood(reparameterise(*posterior, common))

        return jax.vmap(at)(noise).mean(0) - gaussian_kl(*posterior).sum(-1)

    def ascend(carry, _):
        posterior, state, best = carry
        values, pull_back = jax.vjp(elbo, posterior)
        (gradient,) = pull_back(-jnp.ones_like(values))
        updates, state = optimizer.update(gradient, state)
        moved = cast(Posterior, optax.apply_updates(posterior, updates))
        return (moved, state, jnp.maximum(best, values)), None

    optimizer = optax.adam(learning_rate)
    start = Posterior(mean, logvar)
    first = elbo(start)
    carry = (start, optimizer.init(start), first)
    (last, _, best), _ = jax.lax.scan(ascend, carry, length=steps)
    return jnp.maximum(best, elbo(last)) - first
