"""VAEs that are told, or find out, what an image is of: the conditional one and M2."""

import math
from collections.abc import Sequence
from typing import Literal, assert_never

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vae_jax.arrays import known
from vae_jax.distributions import reparameterise
from vae_jax.models.blocks import Dense, Posterior, PosteriorHeads
from vae_jax.models.mlp import Activation
from vae_jax.models.vae import VAEOutput

Prior = Literal["standard", "class"]
Images = Float[Array, "batch height width channel"]
Labels = Int[Array, " label"]


class ConditionalVAE(nn.Module):
    """Encoder q(z | x, y), decoder p(x | z, y) of dense layers, told the class y.

    As one-hot vector, or as a learned embedding of `embedding` numbers. The prior of
    the latents is N(0, 1), or for "class" a normal of its own for every class.

    Source: Kingma et al. 2014 (M2's generative model); Sohn et al. 2015.
    """

    classes: int
    latents: int
    hidden: tuple[int, ...]
    image_shape: tuple[int, int, int]
    embedding: int | None = None
    prior_of: Prior = "standard"
    outputs_per_pixel: int = 1
    """Numbers that the decoder says of each pixel: 2 for a mean and a log-variance."""
    activation: Activation = nn.relu

    def setup(self):
        """The layers; `hidden` is in the encoder's order."""
        if self.embedding is not None:
            self.table = nn.Embed(self.classes, self.embedding)
        if self.prior_of == "class":
            self.prior_mean = nn.Embed(self.classes, self.latents)
            zeros = nn.initializers.zeros_init()
            self.prior_logvar = nn.Embed(
                self.classes, self.latents, embedding_init=zeros
            )
        self.encoding = [Dense(width) for width in self.hidden]
        self.decoding = [Dense(width) for width in reversed(self.hidden)]
        # The first layers see the class by weights of their own, so that an image that
        # is tried as every class passes the large ones once.
        self.encoded_class = nn.Dense(self.hidden[0], use_bias=False)
        self.decoded_class = nn.Dense(self.hidden[-1], use_bias=False)
        self.heads = PosteriorHeads(self.latents)
        self.pixels = Dense(math.prod(self.image_shape) * self.outputs_per_pixel)

    def __call__(
        self, images: Images, labels: Labels, *, noise: Float[Array, "batch latent"]
    ) -> VAEOutput:
        """Encodes, samples with standard normal `noise`, decodes, all told the class.

        Raises:
            ValueError: If the images are not of the network's shape, or there is not
                one label for each of them.
        """
        mean, logvar = self.encode(images, labels)
        latents = reparameterise(mean, logvar, noise)
        return VAEOutput(mean, logvar, latents, self.decode(latents, labels))

    def encode(self, images: Images, labels: Labels) -> Posterior:
        """q(latent | image, class)."""
        self._check(images, labels)
        x = images.reshape(len(images), -1)
        told = self.encoded_class(self.condition(labels))
        return self.heads(self._layers(self.encoding, x, told))

    def decode(self, latents: Float[Array, "batch latent"], labels: Labels) -> Array:
        """Raw outputs [batch height width channel], and [... 2] if two a pixel."""
        told = self.decoded_class(self.condition(labels))
        x = self.pixels(self._layers(self.decoding, latents, told)).astype(jnp.float32)
        several = () if self.outputs_per_pixel == 1 else (self.outputs_per_pixel,)
        return x.reshape(-1, *self.image_shape, *several)

    def prior(self, labels: Labels) -> Posterior:
        """p(latent | class): mean and log-variance."""
        match self.prior_of:
            case "standard":
                zeros = jnp.zeros((len(labels), self.latents))
                return Posterior(zeros, zeros)
            case "class":
                return Posterior(self.prior_mean(labels), self.prior_logvar(labels))
            case _:
                assert_never(self.prior_of)

    def condition(self, labels: Labels) -> Float[Array, "batch condition"]:
        """What the networks are told of a class; NaN of what is known too late as none.

        Raises:
            ValueError: If a label is known to be no class.
        """
        host = known(labels)
        if host is not None and ((host < 0) | (host >= self.classes)).any():
            raise ValueError(
                f"ConditionalVAE: labels must be from 0 to {self.classes - 1}, got "
                f"{host.min()} to {host.max()}."
            )
        one_hot = jax.nn.one_hot(labels, self.classes)
        told = one_hot if self.embedding is None else self.table(labels)
        # Else -1 would be the last class, or none.
        is_class = (labels >= 0) & (labels < self.classes)
        return jnp.where(is_class[:, None], told, jnp.nan)

    def _layers(self, layers: Sequence[Dense], x: Array, told: Array) -> Array:
        first, *others = layers
        x = self.activation(first(x) + told)
        for layer in others:
            x = self.activation(layer(x))
        return x

    def _check(self, images: Images, labels: Labels) -> None:
        if images.shape[1:] != self.image_shape or labels.shape != images.shape[:1]:
            raise ValueError(
                f"ConditionalVAE: wanted images [batch, {self.image_shape}] with a "
                f"label each, got {images.shape} and labels {labels.shape}."
            )


class M2(nn.Module):
    """A conditional VAE, and a classifier q(y | x) for where the class is not known.

    Source: Kingma et al. 2014, section 2.1.
    """

    vae: ConditionalVAE
    hidden: tuple[int, ...]
    """Of the classifier."""

    def setup(self):
        """The classifier's layers."""
        self.layers = [Dense(width) for width in self.hidden]
        self.last = Dense(self.vae.classes)

    def __call__(
        self, images: Images, labels: Labels, *, noise: Float[Array, "batch latent"]
    ) -> tuple[VAEOutput, Float[Array, "batch class"]]:
        """What the conditional VAE makes of images of these classes, and the logits."""
        return self.vae(images, labels, noise=noise), self.classify(images)

    def classify(self, images: Images) -> Float[Array, "batch class"]:
        """Logits of q(class | image)."""
        x = images.reshape(len(images), -1)
        for layer in self.layers:
            x = self.vae.activation(layer(x))
        return self.last(x).astype(jnp.float32)


def init_conditional(
    model: ConditionalVAE | M2, *, key: jax.Array
) -> dict[str, object]:
    """Variables of `model`: "params" alone. Nothing else is computed."""
    vae = model.vae if isinstance(model, M2) else model

    def run(module, images, labels, noise):
        """Every method once, so that every parameter is there."""
        inner = module.vae if isinstance(module, M2) else module
        return module(images, labels, noise=noise), inner.prior(labels)

    return dict(
        nn.init(run, model, mutable=["params"])(
            key,
            jnp.zeros((1, *vae.image_shape)),
            jnp.zeros(1, jnp.int32),
            jnp.zeros((1, vae.latents)),
        )
    )
