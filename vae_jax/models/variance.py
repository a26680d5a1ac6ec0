"""Decoders that say how far off they expect to be, for likelihoods that learn it.

Both wrap a decoder and put the log-variances behind its means, channel by channel: what
`losses.learned_variance_log_likelihood` takes apart.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.models.blocks import zeros
from vae_jax.models.vae import run_part


class SharedVariance(nn.Module):
    """Any decoder, and one log-variance of all pixels of all images.

    It is a parameter, "logvar", and begins at 0.
    """

    decoder: nn.Module

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of the images: that of the decoder."""
        return self.decoder.image_shape

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width parameter"]:
        """Means, then the log-variance, for each channel."""
        mean = run_part(self.decoder, latents, train=train)
        logvar = self.param("logvar", zeros, ())
        return jnp.concatenate([mean, jnp.broadcast_to(logvar, mean.shape)], -1)


class PixelVariance(nn.Module):
    """A decoder of twice the channels: for each pixel of each image a mean and more.

    The wrapped decoder's `image_shape` has twice the channels of the images.
    """

    decoder: nn.Module

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of the images.

        Raises:
            ValueError: If the decoder's channels are no even number.
        """
        height, width, channels = self.decoder.image_shape
        if channels % 2:
            raise ValueError(
                "PixelVariance: the decoder must draw two channels for each of the "
                f"images', got {channels}; build it for twice as many."
            )
        return height, width, channels // 2

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width parameter"]:
        """Means, then log-variances, for each channel."""
        return run_part(self.decoder, latents, train=train)


def means(parameters: jax.Array) -> Float[Array, "batch height width channel"]:
    """The means of what either decoder returns."""
    return jnp.split(parameters, 2, axis=-1)[0]
