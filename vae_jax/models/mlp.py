"""Fully connected encoder and decoder: of tables, and of images seen as vectors."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.models.blocks import Dense, Posterior, PosteriorHeads

Activation = Callable[[jax.Array], jax.Array]


class MLPEncoder(nn.Module):
    """Dense layers over all pixels, and two heads."""

    hidden: tuple[int, ...]
    latents: int
    activation: Activation = nn.relu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channel"], *, train: bool = False
    ) -> Posterior:
        """q(latent | image)."""
        del train  # no layer behaves otherwise
        x = images.reshape(len(images), -1)
        for i, features in enumerate(self.hidden, 1):
            x = self.activation(Dense(features, dtype=self.dtype, name=f"dense{i}")(x))
        return PosteriorHeads(self.latents, name="heads")(x)


class MLPDecoder(nn.Module):
    """The mirror of `MLPEncoder`; `hidden` is in the encoder's order."""

    hidden: tuple[int, ...]
    image_shape: tuple[int, int, int]
    activation: Activation = nn.relu
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width channel"]:
        """Images as the last layer leaves them: logits or means."""
        del train
        x = latents
        for i, features in reversed(list(enumerate(self.hidden, 1))):
            x = self.activation(Dense(features, dtype=self.dtype, name=f"dense{i}")(x))
        pixels = math.prod(self.image_shape)
        x = Dense(pixels, dtype=self.dtype, name="pixels")(x)
        return x.astype(jnp.float32).reshape(-1, *self.image_shape)
