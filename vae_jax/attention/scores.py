"""What a map explains: scalars and vectors that attention differentiates.

A score is any function of (model, images, noise) with one row of output per image:
Linen lets a function whose first argument is the module run as its method. Each image
must be scored by itself. Noise is what the reparameterisation multiplies; None
stands for the mean of the posterior.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.distributions import reparameterise
from vae_jax.losses import gaussian_kl

Images = Float[Array, "batch height width channel"]
Noise = Float[Array, "batch latent"]
Score = Callable[
    [nn.Module, Images, Noise | None], Float[Array, " batch"] | Float[Array, "batch k"]
]
Likelihood = Callable[[Images, Array], Float[Array, " batch"]]
"""log p(images | decoded) of each image in nats, such as those of `vae_jax.losses`."""


def latents(
    vae: nn.Module, images: Images, noise: Noise | None
) -> Float[Array, "batch latent"]:
    """The latents z themselves, section 3.1: one map for each."""
    mean, logvar = vae.encode(images)
    return _sample(mean, logvar, noise)


def sum_of_latents(
    vae: nn.Module, images: Images, noise: Noise | None
) -> Float[Array, " batch"]:
    """Sum of z over the latents, with which section 4.1 localises anomalies.

    The sign of a latent is arbitrary: two trainings of one model, or one model with
    a latent negated, give different maps. `squared_norm` and `kl` do not have this.
    """
    return latents(vae, images, noise).sum(-1)


def squared_norm(
    vae: nn.Module, images: Images, noise: Noise | None
) -> Float[Array, " batch"]:
    """||z||² / 2: the energy of the sample under the prior, up to a constant."""
    return 0.5 * jnp.square(latents(vae, images, noise)).sum(-1)


def kl(vae: nn.Module, images: Images, noise: Noise | None) -> Float[Array, " batch"]:
    """KL of the posterior to the prior in nats, all latents; noise does not matter."""
    del noise
    mean, logvar = vae.encode(images)
    return gaussian_kl(mean, logvar).sum(-1)


class NormalAggregate(NamedTuple):
    """Mean and variance of each latent over the normal (defect-free) images."""

    mean: Float[Array, " latent"]
    variance: Float[Array, " latent"]


def normal_aggregate(
    mean: Float[Array, "image latent"], logvar: Float[Array, "image latent"]
) -> NormalAggregate:
    """Moments of the mixture of posteriors: variance = E[exp(logvar)] + Var[mean]."""
    return NormalAggregate(mean.mean(0), jnp.exp(logvar).mean(0) + mean.var(0))


def normal_difference(normal: NormalAggregate) -> Score:
    """Sum of u ~ N(normal.mean - mean, normal.variance + exp(logvar)) (Eq. 4).

    The paper leaves open what the normal variance is; `normal_aggregate` gives the
    total variance of z over normal images. In the mean this is `sum_of_latents`
    negated and shifted: the gradient flips its sign, so a rectified map keeps exactly
    what the map of `sum_of_latents` drops.
    """

    def score(
        vae: nn.Module, images: Images, noise: Noise | None
    ) -> Float[Array, " batch"]:
        mean, logvar = vae.encode(images)
        log_variance = jnp.log(normal.variance[None] + jnp.exp(logvar))
        return _sample(normal.mean[None] - mean, log_variance, noise).sum(-1)

    return score


def reconstruction_error(likelihood: Likelihood) -> Score:
    """-log p(images | z) in nats: the error that training made small."""

    def score(
        vae: nn.Module, images: Images, noise: Noise | None
    ) -> Float[Array, " batch"]:
        return -likelihood(images, vae.decode(latents(vae, images, noise)))

    return score


def negative_elbo(likelihood: Likelihood) -> Score:
    """-log p(images | z) + KL in nats: the model's whole objective at one sample."""

    def score(
        vae: nn.Module, images: Images, noise: Noise | None
    ) -> Float[Array, " batch"]:
        mean, logvar = vae.encode(images)
        log_likelihood = likelihood(images, vae.decode(_sample(mean, logvar, noise)))
        return gaussian_kl(mean, logvar).sum(-1) - log_likelihood

    return score


def _sample(
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    noise: Noise | None,
) -> Float[Array, "batch latent"]:
    return mean if noise is None else reparameterise(mean, logvar, noise)
