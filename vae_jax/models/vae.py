"""The variational autoencoder, and the networks that the experiments use."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.distributions import reparameterise
from vae_jax.models.blocks import Norm, Posterior, as_posterior, run_part
from vae_jax.models.conv import ConvDecoder, ConvEncoder
from vae_jax.models.mlp import MLPDecoder, MLPEncoder
from vae_jax.models.resnet import ResNetEncoder


class VAEOutput(NamedTuple):
    """What a VAE makes of a batch of images.

    `decoded` is as the decoder's last layer leaves it: the likelihood decides whether
    it is logits or means.
    """

    mean: Float[Array, "batch latent"]
    logvar: Float[Array, "batch latent"]
    latents: Float[Array, "batch latent"]
    decoded: Float[Array, "batch height width channel"]


class VAE(nn.Module):
    """An encoder of images into a diagonal normal, and a decoder of its samples.

    Any Linen modules will do. The encoder has a field `latents` and maps images to mean
    and log-variance; the decoder has a field `image_shape` (height, width, channel) and
    maps latents to logits or means. One that takes `train`, for batch norm, is told it.
    """

    encoder: nn.Module
    decoder: nn.Module

    @property
    def latents(self) -> int:
        """Dimensions of the latent space."""
        return _field(self.encoder, "latents", "an encoder", "int")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images that the network is built for."""
        return _field(self.decoder, "image_shape", "a decoder", "tuple[int, int, int]")

    def __call__(
        self,
        images: Float[Array, "batch height width channel"],
        *,
        noise: Float[Array, "batch latent"],
        train: bool = False,
    ) -> VAEOutput:
        """Encodes, samples with standard normal `noise`, decodes.

        Zeros for `noise` make the latents the posterior mean.

        Raises:
            ValueError: if the images are not of the shape that the network draws, or
                the noise is not one number for each latent of each image.
        """
        mean, logvar = self.encode(images, train=train)
        latents = reparameterise(mean, logvar, noise)
        return VAEOutput(mean, logvar, latents, self.decode(latents, train=train))

    def encode(
        self, images: Float[Array, "batch height width channel"], *, train: bool = False
    ) -> Posterior:
        """q(latent | image).

        Raises:
            ValueError: if the images are not of the shape that the network draws, or
                the encoder returns no mean and log-variance.
        """
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"VAE: this network is built for images of shape {self.image_shape}, "
                f"got {images.shape[1:]}; resize the images or build it for theirs."
            )
        found = run_part(self.encoder, images, train=train)
        return as_posterior(f"VAE: the encoder {type(self.encoder).__name__}", found)

    def decode(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width channel"]:
        """Logits or means of the images, raw."""
        return run_part(self.decoder, latents, train=train)


def _field(module: nn.Module, name: str, who: str, kind: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        raise ValueError(
            f"VAE: {who} must have a field {name}, got {type(module).__name__} without "
            f"one; add a line `{name}: {kind} = ...` to it."
        )
    return found


def init(
    model: VAE,
    *,
    key: jax.Array,
    pixel_bias: Float[Array, "height width channel"] | None = None,
) -> dict[str, Any]:
    """Variables of `model`: "params", and "batch_stats" if it has batch norm.

    Nothing is computed but the initial values. Linen's own `init` also returns the
    perturbations of a batch of one, which would silently broadcast over any batch.

    Args:
        model: The network.
        key: Of the initial values.
        pixel_bias: What the decoder's pixel bias, if it has one, begins at: the mean
            training image, as logits where the likelihood takes logits. None: zeros.

    Raises:
        ValueError: if `pixel_bias` is not of the shape of the images.
    """
    if pixel_bias is not None and pixel_bias.shape != model.image_shape:
        raise ValueError(
            f"init: pixel_bias must be one image of shape {model.image_shape}, got "
            f"{pixel_bias.shape}; give the mean over images of the network's size."
        )
    initial = model.lazy_init(
        key,
        jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32),
        noise=jax.ShapeDtypeStruct((1, model.latents), jnp.float32),
        mutable=["params", "batch_stats"],
    )
    variables: dict[str, Any] = dict(initial)
    if pixel_bias is not None and getattr(model.decoder, "pixel_bias", False):
        decoder = variables["params"]["decoder"] | {"pixel_bias": pixel_bias}
        variables["params"] = variables["params"] | {"decoder": decoder}
    return variables


_PED1_CHANNELS = (64, 128, 256)
_PED1_SHAPE = (100, 100, 1)


def mnist_vae(
    *, latents: int = 32, width: int = 64, dtype: DTypeLike = jnp.float32
) -> VAE:
    """The network of the authors' MNIST code: 13,216,193 parameters at 32 latents.

    Theirs has `width` 64; others scale every layer but the latents.
    """
    channels = (width, 2 * width)
    shape = (28, 28, 1)
    return _conv_vae(channels, 16 * width, latents, shape, norm=None, dtype=dtype)


def ped1_vae(*, latents: int = 32, dtype: DTypeLike = jnp.float32) -> VAE:
    """The authors' UCSD Ped1 network at second hand: 77,243,073 parameters, 100x100.

    At 32 latents. The authors' repository holds no network for Ped1. This one is that
    of a commit of the reproduction of 2021 ("added official ped1 architecture", after
    pictures that they were sent); what became of it is `repro2021_ped1_vae`.
    """
    return _conv_vae(_PED1_CHANNELS, 1024, latents, _PED1_SHAPE, norm=None, dtype=dtype)


def repro2021_ped1_vae(*, latents: int = 32, dtype: DTypeLike = jnp.float32) -> VAE:
    """What the reproduction of 2021 trained as the authors' Ped1 network, 100x100.

    77,243,585 parameters at 32 latents: `ped1_vae` with a batch norm after its third
    convolution, whose encoder takes the mean 0.37504 of Ped1 off the pixels and divides
    by the standard deviation 0.20130.
    """
    encoder = ConvEncoder(
        _PED1_CHANNELS,
        1024,
        latents,
        last_norm="batch",
        standardise=(0.37504, 0.20130),
        dtype=dtype,
    )
    return VAE(encoder, ConvDecoder(_PED1_CHANNELS, 1024, _PED1_SHAPE, dtype=dtype))


def mlp_vae(
    *,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    hidden: tuple[int, ...] = (500,),
    latents: int = 20,
    dtype: DTypeLike = jnp.float32,
) -> VAE:
    """Dense layers only; a row of a table with n columns is an image of (1, n, 1)."""
    return VAE(
        MLPEncoder(hidden, latents, dtype=dtype),
        MLPDecoder(hidden, image_shape, dtype=dtype),
    )


def small_vae(
    *,
    image_size: int = 128,
    image_channels: int = 1,
    latents: int = 64,
    width: int = 32,
    norm: Norm | None = "batch",
    dtype: DTypeLike = jnp.float32,
) -> VAE:
    """A convolutional VAE for quick runs, meant for 64 to 128 pixels.

    Four halvings from `width` channels to eight times as many, and a pixel bias.
    """
    shape = (image_size, image_size, image_channels)
    channels = (width, 2 * width, 4 * width, 8 * width)
    return _conv_vae(
        channels, 512, latents, shape, norm=norm, pixel_bias=True, dtype=dtype
    )


def resnet18_vae(
    *,
    image_size: int = 256,
    image_channels: int = 3,
    latents: int = 32,
    norm: Norm = "batch",
    dtype: DTypeLike = jnp.float32,
) -> VAE:
    """ResNet-18 from scratch and its mirrored decoder, for 64 to 256 pixels.

    The decoder grows 1024 channels of 4x4 pixels by doublings, six for 256 pixels and
    fewer for less; a size that is not 4 times a power of two starts from 5x5 to 7x7.

    Raises:
        ValueError: if `image_size` is not from 64 to 256.
    """
    if not 64 <= image_size <= 256:
        raise ValueError(
            "resnet18_vae: wants an image_size from 64 to 256 pixels, got "
            f"{image_size}; resize the images, or take small_vae for smaller ones."
        )
    doublings = (image_size // 4).bit_length() - 1
    channels = (32, 64, 128, 256, 512, 1024)[-doublings:]
    shape = (image_size, image_size, image_channels)
    return VAE(
        ResNetEncoder(latents, norm=norm, dtype=dtype),
        ConvDecoder(channels, 1024, shape, norm=norm, dtype=dtype),
    )


def _conv_vae(
    channels: tuple[int, ...],
    hidden: int,
    latents: int,
    image_shape: tuple[int, int, int],
    *,
    norm: Norm | None,
    dtype: DTypeLike,
    pixel_bias: bool = False,
) -> VAE:
    encoder = ConvEncoder(channels, hidden, latents, norm=norm, dtype=dtype)
    decoder = ConvDecoder(
        channels, hidden, image_shape, norm=norm, pixel_bias=pixel_bias, dtype=dtype
    )
    return VAE(encoder, decoder)
