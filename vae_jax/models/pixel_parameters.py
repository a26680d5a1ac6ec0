"""Decoders that say several numbers of each pixel: what richer likelihoods take."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.models.blocks import run_part, zeros


class PixelParameters(nn.Module):
    """A decoder of wider "images", for images of `image_shape`.

    The channels of `decoder` are what the likelihood takes of each pixel: 2 for each
    channel of `losses.learned_gaussian_log_likelihood`, 3 M (gray) or 10 M (colour) of
    a mixture of M logistics.
    """

    decoder: nn.Module
    image_shape: tuple[int, int, int]

    def __call__(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width parameter"]:
        """All numbers of all pixels."""
        return run_part(self.decoder, latents, train=train)


class SharedVariance(nn.Module):
    """A decoder of means, and one learned log-variance for all pixels and images.

    For `losses.learned_gaussian_log_likelihood`; it begins at 0, a deviation of 1.
    """

    decoder: nn.Module

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of the decoder of means."""
        return self.decoder.image_shape  # type: ignore[attr-defined]

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width parameter"]:
        """The means, and behind them the log-variance as often."""
        mean = run_part(self.decoder, latents, train=train)
        logvar = self.param("logvar", zeros, ())
        return jnp.concatenate([mean, jnp.full_like(mean, logvar)], axis=-1)
