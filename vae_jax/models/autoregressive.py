"""Images pixel by pixel: each given the latents and all pixels before it.

The stacks of van den Oord et al. 2016 ("Conditional image generation with PixelCNN
decoders"), on what latents decode to, as Gulrajani et al. 2017 (PixelVAE) have them.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vae_jax.distributions import reparameterise, sample_bernoulli
from vae_jax.models.blocks import Dense, run_part
from vae_jax.models.vae import VAE, VAEOutput

Inputs = Float[Array, "batch height width channel"]
Features = Float[Array, "batch height width feature"]
DrawPixel = Callable[..., Float[Array, "batch channel"]]
"""`draw(parameters [batch parameter], key=key)`."""


class CausalConv(nn.Module):
    """A convolution that reaches up and to the left: its kernel ends at its own row.

    With `is_centred` it reaches as far to the right as to the left, else it ends at its
    own column. One matrix product: as fast in loops and over many runs as outside.
    """

    features: int
    kernel_size: tuple[int, int]
    is_centred: bool

    @nn.compact
    def __call__(self, inputs: Inputs) -> Features:
        """The convolution, of the size of `inputs`."""
        rows, columns = self.kernel_size
        right = columns // 2 if self.is_centred else 0
        edges = ((0, 0), (rows - 1, 0), (columns - 1 - right, right), (0, 0))
        padded = jnp.pad(inputs, edges)
        height, width = inputs.shape[1:3]
        seen = [
            padded[:, row : row + height, column : column + width]
            for row in range(rows)
            for column in range(columns)
        ]
        return _dense(self.features, "taps", jnp.concatenate(seen, axis=-1))


class GatedLayer(nn.Module):
    """Rows above and pixels to the left, one layer on; `context` opens the gates.

    The rows above are a stack of their own, so that no pixel before is out of sight.
    """

    features: int
    reach: int

    @nn.compact
    def __call__(
        self, above: Features, left: Features, context: Inputs
    ) -> tuple[Features, Features]:
        """Both stacks, of `features` channels."""
        both, side = 2 * self.features, self.reach + 1
        conv = functools.partial(CausalConv, both)
        above = conv((side, 2 * self.reach + 1), True, name="above")(above)
        beside = conv((1, side), False, name="left")(left)
        beside += _dense(both, "above_to_left", above)
        above += _dense(both, "context_above", context)
        beside += _dense(both, "context_left", context)
        return _gated(above), left + _dense(self.features, "out", _gated(beside))


class AutoregressiveDecoder(nn.Module):
    """p(pixel | latents, pixels before it), row by row from the upper left.

    `context` is any decoder from latents to features of the size of the images.
    `outputs` is how many numbers the likelihood takes of a pixel: its channels for
    Bernoulli, 3 M or 10 M for a mixture of M logistics. With each layer a pixel sees
    `reach` further: small reaches leave more to the latents.
    """

    context: nn.Module
    image_shape: tuple[int, int, int]
    outputs: int = 1
    features: int = 16
    layers: int = 4
    reach: int = 1

    @nn.compact
    def __call__(
        self,
        latents: Float[Array, "batch latent"],
        images: Inputs | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, "batch height width parameter"]:
        """What is said of every pixel of `images` before it is seen.

        Raises:
            ValueError: without images.
        """
        if images is None:
            raise ValueError(
                "AutoregressiveDecoder: a pixel is decoded from those before it, got "
                "no images; draw them by models.sample_pixels."
            )
        context = run_part(self.context, latents, train=train)
        seen = _dense(self.features, "embed", 2 * images - 1)
        # Shifted by one row and by one column: from here on every layer may look at
        # its own place.
        above = jnp.pad(seen, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]
        left = jnp.pad(seen, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]
        for i in range(1, self.layers + 1):
            layer = GatedLayer(self.features, self.reach, name=f"layer{i}")
            above, left = layer(above, left, context)
        return _dense(self.outputs, "pixels", nn.relu(left))


class PixelVAE(VAE):
    """A VAE whose decoder, an `AutoregressiveDecoder`, also sees the pixels before.

    The strongest decoder that there is, and the surest way to latents that say nothing:
    it can do without them.
    """

    def __call__(
        self,
        images: Inputs,
        *,
        noise: Float[Array, "batch latent"],
        train: bool = False,
    ) -> VAEOutput:
        """Encodes, samples with standard normal `noise`, decodes every pixel at once.

        Raises:
            ValueError: as `VAE`.
        """
        mean, logvar = self.encode(images, train=train)
        latents = reparameterise(mean, logvar, noise)
        decoded = run_part(self.decoder, latents, images, train=train)
        return VAEOutput(mean, logvar, latents, decoded)

    def decode_next(
        self,
        latents: Float[Array, "batch latent"],
        images: Inputs,
    ) -> Float[Array, "batch height width parameter"]:
        """What is said of each pixel, given those of `images` before it."""
        return run_part(self.decoder, latents, images, train=False)


def sample_pixels(
    model: PixelVAE,
    variables: Mapping[str, Any],
    latents: Float[Array, "batch latent"],
    *,
    key: PRNGKeyArray,
    draw: DrawPixel = sample_bernoulli,
) -> Float[Array, "batch height width channel"]:
    """Draws an image for each row of `latents`, pixel after pixel; to be jitted.

    Each pixel costs a pass of the decoder over the whole image.

    Args:
        model: Of the images.
        variables: Its parameters.
        latents: From the prior, or from posteriors.
        key: Of the draws.
        draw: Of pixels from what is said of them, such as
            `distributions.sample_discretised_logistic_mixture` with its `channels`.
    """
    height, width, channels = model.image_shape

    def add(place: Array, images: Array) -> Array:
        said = model.apply(variables, latents, images, method="decode_next")
        row, column = jnp.divmod(place, width)
        pixel = draw(
            cast(Array, said)[:, row, column], key=jax.random.fold_in(key, place)
        )
        return images.at[:, row, column].set(pixel)

    empty = jnp.zeros((len(latents), height, width, channels), latents.dtype)
    return jax.lax.fori_loop(0, height * width, add, empty)


def _dense(features: int, name: str, inputs: Inputs) -> Features:
    """The affine map of the channels of each pixel."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    return Dense(features, name=name)(flat).reshape(*inputs.shape[:-1], features)


def _gated(inputs: Inputs) -> Features:
    value, gate = jnp.split(inputs, 2, axis=-1)
    return jnp.tanh(value) * nn.sigmoid(gate)
