"""The networks of the literature on disentanglement, for images of 64x64 pixels.

All have four halvings and take `image_channels` and `latents`. Where a paper does not
say how the weights start, they start as TensorFlow's do, with which it was written.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.models.blocks import (
    Dense,
    Scheme,
    glorot_scheme,
    small_normal_scheme,
    torch_scheme,
)
from vae_jax.models.conv import ConvDecoder, ConvEncoder
from vae_jax.models.vae import VAE


def locatello_vae(
    *, image_channels: int = 1, latents: int = 10, dtype: DTypeLike = jnp.float32
) -> VAE:
    """That of Locatello et al. 2019; 690,517 parameters by default."""
    channels, shape = (32, 32, 64, 64), (64, 64, image_channels)
    options = {"scheme": glorot_scheme, "dtype": dtype}
    encoder = ConvEncoder(channels, 256, latents, kernel_sizes=(4, 4, 2, 2), **options)
    return VAE(encoder, ConvDecoder(channels, 256, shape, **options))


def burgess_vae(
    *, image_channels: int = 1, latents: int = 10, dtype: DTypeLike = jnp.float32
) -> VAE:
    """That of Burgess et al. 2018; 502,005 parameters by default."""
    channels, shape = (32, 32, 32, 32), (64, 64, image_channels)
    options = {"more_hidden": (256,), "scheme": glorot_scheme, "dtype": dtype}
    encoder = ConvEncoder(channels, 256, latents, **options)
    return VAE(encoder, ConvDecoder(channels, 256, shape, **options))


def kim_vae(
    *, image_channels: int = 1, latents: int = 10, dtype: DTypeLike = jnp.float32
) -> VAE:
    """That of Kim and Mnih 2018; 498,005 parameters by default."""
    channels, shape = (32, 32, 64, 64), (64, 64, image_channels)
    options = {"scheme": glorot_scheme, "dtype": dtype}
    encoder = ConvEncoder(channels, 128, latents, **options)
    return VAE(encoder, ConvDecoder(channels, 128, shape, **options))


def repro2021_vae(
    *, image_channels: int = 1, latents: int = 32, dtype: DTypeLike = jnp.float32
) -> VAE:
    """`kim_vae` as the public reproduction of 2021 has it; 506,497 parameters.

    No rectifier between the encoder's dense layers, and weights of deviation 0.02 but
    for the transposed convolutions, which its initialisation passes over.
    """
    channels, shape = (32, 32, 64, 64), (64, 64, image_channels)
    options = {"scheme": small_normal_scheme, "dtype": dtype}
    encoder = ConvEncoder(channels, 128, latents, linear_hidden=True, **options)
    options["transposed_scheme"] = torch_scheme
    return VAE(encoder, ConvDecoder(channels, 128, shape, **options))


class Discriminator(nn.Module):
    """Tells latents of the aggregate posterior from those permuted over the batch.

    `layers` hidden layers of leaky rectifiers, slope 0.2 (Kim and Mnih 2018);
    5,018,002 parameters for 10 latents. Logit 0 is for the joint latents, logit 1 for
    the permuted.
    """

    layers: int = 6
    width: int = 1000
    scheme: Scheme = glorot_scheme
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"]
    ) -> Float[Array, "batch 2"]:
        """Two logits for each row of `latents`."""
        dense = functools.partial(Dense, scheme=self.scheme)
        x = latents
        for i in range(1, self.layers + 1):
            hidden = dense(self.width, dtype=self.dtype, name=f"hidden{i}")
            x = nn.leaky_relu(hidden(x), 0.2)
        # Their difference is a log-density ratio: in float32 whatever the rest is in.
        return dense(2, name="logits")(x.astype(jnp.float32))


def init_discriminator(
    discriminator: nn.Module, *, latents: int, key: jax.Array
) -> dict[str, Any]:
    """Its "params", for that many latents; nothing but them is computed."""
    example = jax.ShapeDtypeStruct((1, latents), jnp.float32)
    return dict(discriminator.lazy_init(key, example))
