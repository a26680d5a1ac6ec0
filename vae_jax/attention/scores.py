"""What a map explains: scalars and vectors that attention differentiates.

A score is any function of (model, images, noise) with one row of output per image:
Linen lets a function whose first argument is the module run as its method. Each image
must be scored by itself. Noise is what the reparameterisation multiplies; None
stands for the mean of the posterior.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import known
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
    return _NormalDifference(normal)


def reconstruction_error(likelihood: Likelihood) -> Score:
    """-log p(images | z) in nats: the error that training made small."""
    return _ReconstructionError(likelihood)


def negative_elbo(likelihood: Likelihood) -> Score:
    """-log p(images | z) + KL in nats: the model's whole objective at one sample."""
    return _NegativeElbo(likelihood)


# Scores with arguments are objects rather than closures: equal ones of equal arguments,
# so that a map is compiled once, and ones that can be sent to another process.


@dataclasses.dataclass(frozen=True, eq=False)
class _NormalDifference:
    normal: NormalAggregate

    def __call__(
        self, vae: nn.Module, images: Images, noise: Noise | None
    ) -> Float[Array, " batch"]:
        mean, logvar = vae.encode(images)
        log_variance = jnp.log(self.normal.variance[None] + jnp.exp(logvar))
        return _sample(self.normal.mean[None] - mean, log_variance, noise).sum(-1)

    def __eq__(self, other: object) -> bool:
        same_kind = isinstance(other, _NormalDifference)
        return same_kind and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple:
        """The values, or inside a trace the object itself."""
        mean, variance = map(known, self.normal)
        if mean is None or variance is None:
            return (id(self),)
        return (mean.dtype.str, mean.tobytes(), variance.tobytes())


@dataclasses.dataclass(frozen=True)
class _ReconstructionError:
    likelihood: Likelihood

    def __call__(
        self, vae: nn.Module, images: Images, noise: Noise | None
    ) -> Float[Array, " batch"]:
        return -self.likelihood(images, vae.decode(latents(vae, images, noise)))


@dataclasses.dataclass(frozen=True)
class _NegativeElbo:
    likelihood: Likelihood

    def __call__(
        self, vae: nn.Module, images: Images, noise: Noise | None
    ) -> Float[Array, " batch"]:
        mean, logvar = vae.encode(images)
        decoded = vae.decode(_sample(mean, logvar, noise))
        return gaussian_kl(mean, logvar).sum(-1) - self.likelihood(images, decoded)


def _sample(
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    noise: Noise | None,
) -> Float[Array, "batch latent"]:
    return mean if noise is None else reparameterise(mean, logvar, noise)
