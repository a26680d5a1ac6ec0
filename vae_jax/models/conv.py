"""Plain convolutional encoder and decoder: halvings one way, doublings the other."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.models.blocks import (
    Conv,
    ConvTranspose,
    Dense,
    DenseOverFeatures,
    Norm,
    Posterior,
    PosteriorHeads,
    Scheme,
    normalise,
    torch_scheme,
    zeros,
)
from vae_jax.models.taps import channel_tap, tap


def halved_sizes(size: int, *, times: int) -> tuple[int, ...]:
    """`size` and its halves, rounded down: (25, 12, 6) for 25 halved twice.

    Raises:
        ValueError: if `size` does not last for `times` halvings.
    """
    if size < 2**times:
        raise ValueError(
            f"halved_sizes: {times} halvings want images of at least "
            f"{2**times}x{2**times} pixels, got a side of {size}; take larger images "
            "or fewer layers."
        )
    return tuple(size >> halvings for halvings in range(times + 1))


class ConvEncoder(nn.Module):
    """Convolutions of stride 2 and kernel 4 or 2, hidden dense layers, two heads.

    `kernel_sizes` is 4 throughout unless given, `more_hidden` the widths of dense
    layers after the first; with `linear_hidden` none of them has a rectifier.
    `last_norm` is a norm of the last convolution alone, which keeps its bias, and
    `standardise` the mean and the standard deviation of pixels, which it first takes
    off and divides by.

    Taps: conv1, relu1, conv2, ... before and after norm and rectifier; the last relu
    also by channel, because a linear layer follows.
    """

    channels: tuple[int, ...]
    hidden: int
    latents: int
    norm: Norm | None = None
    last_norm: Norm | None = None
    standardise: tuple[float, float] = (0.0, 1.0)
    kernel_sizes: tuple[int, ...] | None = None
    more_hidden: tuple[int, ...] = ()
    linear_hidden: bool = False
    scheme: Scheme = torch_scheme
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channel"], *, train: bool = False
    ) -> Posterior:
        """q(latent | image).

        Raises:
            ValueError: if the images are smaller than 2 ** len(channels) pixels.
        """
        halved_sizes(min(images.shape[1:3]), times=len(self.channels))
        kernel_sizes = self.kernel_sizes or (4,) * len(self.channels)
        mean, deviation = self.standardise
        x = images if self.standardise == (0.0, 1.0) else (images - mean) / deviation
        layers = zip(self.channels, kernel_sizes, strict=True)
        for i, (channels, kernel_size) in enumerate(layers, 1):
            x = Conv(
                channels,
                kernel_size=(kernel_size, kernel_size),
                padding=kernel_size // 2 - 1,
                use_bias=self.norm is None,
                scheme=self.scheme,
                dtype=self.dtype,
                name=f"convolution{i}",
            )(x)
            x = tap(self, f"conv{i}", x)
            norm = self.norm
            if norm is None and i == len(self.channels):
                norm = self.last_norm
            if norm is not None:
                x = normalise(x, norm, name=f"norm{i}", train=train, dtype=self.dtype)
            x = tap(self, f"relu{i}", nn.relu(x))
        perturbation = channel_tap(self, f"relu{len(self.channels)}", x)
        rectify = (lambda x: x) if self.linear_hidden else nn.relu
        options = {"scheme": self.scheme, "dtype": self.dtype}
        hidden = DenseOverFeatures(self.hidden, name="hidden", **options)
        x = rectify(hidden(x, perturbation))
        for i, width in enumerate(self.more_hidden, 2):
            x = rectify(Dense(width, name=f"hidden{i}", **options)(x))
        return PosteriorHeads(self.latents, scheme=self.scheme, name="heads")(x)


class ConvDecoder(nn.Module):
    """The mirror of `ConvEncoder`: dense layers, then transposed convolutions.

    `channels` are the encoder's, in the encoder's order. Each layer leads back to the
    size that the encoder came from: kernel 4 to an even one, kernel 5 to an odd one.
    The transposed convolutions start by `transposed_scheme` where it is given.

    With `pixel_bias` the network only draws what deviates from a learned image.
    Begun at the mean training image (see `vae.init`), it spares a network that trains
    for minutes what all images share.
    """

    channels: tuple[int, ...]
    hidden: int
    image_shape: tuple[int, int, int]
    norm: Norm | None = None
    pixel_bias: bool = False
    more_hidden: tuple[int, ...] = ()
    scheme: Scheme = torch_scheme
    transposed_scheme: Scheme | None = None
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width channel"]:
        """Images as the last layer leaves them: logits or means, no sigmoid.

        Raises:
            ValueError: if the images are smaller than 2 ** len(channels) pixels.
        """
        *shape, image_channels = self.image_shape
        rows, columns = (halved_sizes(n, times=len(self.channels)) for n in shape)
        first = (rows[-1], columns[-1], self.channels[-1])
        options = {"scheme": self.scheme, "dtype": self.dtype}
        x = nn.relu(Dense(self.hidden, name="hidden", **options)(latents))
        for i, width in enumerate(self.more_hidden, 2):
            x = nn.relu(Dense(width, name=f"hidden{i}", **options)(x))
        x = nn.relu(Dense(math.prod(first), name="features", **options)(x))
        x = x.reshape(-1, *first)
        outputs = (image_channels, *self.channels[:-1])
        for i in reversed(range(len(outputs))):
            x = ConvTranspose(
                outputs[i],
                kernel_size=(4 + rows[i] % 2, 4 + columns[i] % 2),
                use_bias=self.norm is None or i == 0,
                scheme=self.transposed_scheme or self.scheme,
                dtype=self.dtype,
                name=f"convolution{i + 1}",
            )(x)
            if i > 0:
                if self.norm is not None:
                    x = normalise(
                        x, self.norm, name=f"norm{i + 1}", train=train, dtype=self.dtype
                    )
                x = nn.relu(x)
        x = x.astype(jnp.float32)
        if self.pixel_bias:
            x = x + self.param("pixel_bias", zeros, self.image_shape)[None]
        return x
