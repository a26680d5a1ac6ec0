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
    channel_tap,
    normalise,
    tap,
)


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
    """Convolutions of kernel 4 and stride 2, a hidden dense layer, two heads.

    Taps: conv1, relu1, conv2, ... before and after norm and rectifier; the last relu
    also by channel, because a linear layer follows.
    """

    channels: tuple[int, ...]
    hidden: int
    latents: int
    norm: Norm | None = None
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
        x = images
        for i, channels in enumerate(self.channels, 1):
            x = Conv(
                channels,
                use_bias=self.norm is None,
                dtype=self.dtype,
                name=f"convolution{i}",
            )(x)
            x = tap(self, f"conv{i}", x)
            if self.norm is not None:
                x = normalise(
                    x, self.norm, name=f"norm{i}", train=train, dtype=self.dtype
                )
            x = tap(self, f"relu{i}", nn.relu(x))
        perturbation = channel_tap(self, f"relu{len(self.channels)}", x)
        hidden = DenseOverFeatures(self.hidden, dtype=self.dtype, name="hidden")
        return PosteriorHeads(self.latents, name="heads")(
            nn.relu(hidden(x, perturbation))
        )


class ConvDecoder(nn.Module):
    """The mirror of `ConvEncoder`: two dense layers, then transposed convolutions.

    `channels` are the encoder's, in the encoder's order. Each layer leads back to the
    size that the encoder came from: kernel 4 to an even one, kernel 5 to an odd one.

    With `pixel_bias` the network only draws what deviates from a learned image.
    Begun at the mean training image (see `vae.init`), it spares a network that trains
    for minutes what all images share.
    """

    channels: tuple[int, ...]
    hidden: int
    image_shape: tuple[int, int, int]
    norm: Norm | None = None
    pixel_bias: bool = False
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
        x = nn.relu(Dense(self.hidden, dtype=self.dtype, name="hidden")(latents))
        x = nn.relu(Dense(math.prod(first), dtype=self.dtype, name="features")(x))
        x = x.reshape(-1, *first)
        outputs = (image_channels, *self.channels[:-1])
        for i in reversed(range(len(outputs))):
            x = ConvTranspose(
                outputs[i],
                kernel_size=(4 + rows[i] % 2, 4 + columns[i] % 2),
                use_bias=self.norm is None or i == 0,
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
            zeros = nn.initializers.zeros
            x = x + self.param("pixel_bias", zeros, self.image_shape)[None]
        return x
