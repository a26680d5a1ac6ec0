"""A generative adversarial network of convolutions (Radford et al. 2016)."""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.models.blocks import (
    Conv,
    ConvTranspose,
    Dense,
    DenseOverFeatures,
    normalise,
)
from vae_jax.train import Aux, LossFn

SMALLEST = 4
"""Side in pixels of the smallest activations."""
SMALLEST_IMAGE = 16

Variables = dict[str, dict[str, Any]]
"""Of "generator" and "discriminator", each with "params" and "batch_stats"."""


class Judgement(NamedTuple):
    """What the discriminator makes of images, and what it goes by."""

    logits: Float[Array, " batch"]
    """Of the probability that the image is a real one."""
    features: Float[Array, "batch rows columns channel"]
    """The activations of the last convolution."""


class Generator(nn.Module):
    """A dense layer to 4x4 pixels, then doublings, with batch norm and rectifiers.

    The image follows `width` channels of half its size, these twice as many of half
    theirs, and so on.
    """

    image_shape: tuple[int, int, int]
    width: int

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"], *, train: bool = False
    ) -> Float[Array, "batch height width channel"]:
        """Images in [0, 1]."""
        channels = _channels(self.image_shape, self.width)[::-1]
        first = (SMALLEST, SMALLEST, channels[0])
        x = Dense(math.prod(first), name="features")(latents).reshape(-1, *first)
        x = self._activate(x, 0, train=train)
        for i, out in enumerate(channels[1:], 1):
            x = ConvTranspose(out, use_bias=False, name=f"convolution{i}")(x)
            x = self._activate(x, i, train=train)
        x = ConvTranspose(self.image_shape[-1], name="image")(x)
        return (jnp.tanh(x) + 1) / 2

    def _activate(self, x: Array, i: int, *, train: bool) -> Array:
        return nn.relu(
            normalise(x, "batch", name=f"norm{i}", train=train, dtype=x.dtype)
        )


class Discriminator(nn.Module):
    """Halvings to 4x4 pixels, with batch norm after all but the first, and a logit."""

    image_shape: tuple[int, int, int]
    width: int

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channel"], *, train: bool = False
    ) -> Judgement:
        """Of images in [0, 1]."""
        x = 2 * images - 1
        for i, out in enumerate(_channels(self.image_shape, self.width)):
            x = Conv(out, use_bias=i == 0, name=f"convolution{i}")(x)
            if i > 0:
                x = normalise(x, "batch", name=f"norm{i}", train=train, dtype=x.dtype)
            x = nn.leaky_relu(x, 0.2)
        return Judgement(DenseOverFeatures(1, name="logit")(x)[:, 0], x)


class DCGAN(NamedTuple):
    """The two players."""

    generator: Generator
    discriminator: Discriminator
    latents: int


def dcgan(*, image_size: int, channels: int, latents: int, width: int) -> DCGAN:
    """The networks for square images.

    Raises:
        ValueError: `image_size` is not a power of two, at least 16.
    """
    if image_size < SMALLEST_IMAGE or image_size.bit_count() != 1:
        raise ValueError(
            f"dcgan: image_size must be a power of two, at least {SMALLEST_IMAGE} "
            f"pixels, got {image_size}."
        )
    shape = (image_size, image_size, channels)
    return DCGAN(Generator(shape, width), Discriminator(shape, width), latents)


def init(gan: DCGAN, *, key: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and batch statistics, each of "generator" and "discriminator".

    All kernels are drawn from N(0, 0.02²), as published.
    """
    keys = jax.random.split(key, 3)
    latents = jax.ShapeDtypeStruct((1, gan.latents), jnp.float32)
    images = jax.ShapeDtypeStruct((1, *gan.generator.image_shape), jnp.float32)
    players = {
        "generator": gan.generator.lazy_init(keys[0], latents),
        "discriminator": gan.discriminator.lazy_init(keys[1], images),
    }
    params = {name: variables["params"] for name, variables in players.items()}
    state = {
        name: {"batch_stats": variables["batch_stats"]}
        for name, variables in players.items()
    }
    return _redraw_kernels(params, key=keys[2]), state


def make_loss_fn(gan: DCGAN) -> LossFn:
    """The sum of what the two players minimise, each by its own parameters alone.

    Its gradient holds that of the discriminator's loss, -log D(x) - log(1 - D(G(z))),
    with respect to D, and that of the generator's, -log D(G(z)) (Goodfellow et al.
    2014, section 3), with respect to G, and nothing else: both move at once, where
    most implementations move one after the other.
    """

    def loss_fn(params, model_state, batch, *, key, step):
        del step
        images = batch["image"]
        z = jax.random.normal(key, (len(images), gan.latents))
        drawn, generator_state = _play(
            gan.generator, params["generator"], model_state["generator"], z
        )
        before = model_state["discriminator"]
        judged = params["discriminator"]
        # Apart, as usual: statistics over both would give away which are which.
        real, state = _play(gan.discriminator, judged, before, images)
        unreal, state = _play(
            gan.discriminator, judged, state, jax.lax.stop_gradient(drawn)
        )
        # The same values once more, of which XLA computes but one.
        fixed = jax.lax.stop_gradient(judged)
        passed, _ = _play(gan.discriminator, fixed, before, drawn)
        losses = {
            "discriminator_loss": jnp.mean(
                jax.nn.softplus(-real.logits) + jax.nn.softplus(unreal.logits)
            ),
            "generator_loss": jax.nn.softplus(-passed.logits).mean(),
        }
        total = losses["discriminator_loss"] + losses["generator_loss"]
        model_state = {"generator": generator_state, "discriminator": state}
        return total, Aux(losses, model_state)

    return loss_fn


def draw(
    gan: DCGAN, variables: Variables, latents: Float[Array, "batch latent"]
) -> Float[Array, "batch height width channel"]:
    """The trained generator's images, in [0, 1]."""
    images: Any = gan.generator.apply(variables["generator"], latents)
    return images


def judge(
    gan: DCGAN,
    variables: Variables,
    images: Float[Array, "batch height width channel"],
) -> Judgement:
    """The trained discriminator's."""
    judgement: Any = gan.discriminator.apply(variables["discriminator"], images)
    return judgement


def _channels(image_shape: tuple[int, int, int], width: int) -> tuple[int, ...]:
    """Of the activations from half the image's size down to 4x4 pixels."""
    halvings = (image_shape[0] // SMALLEST).bit_length() - 1
    return tuple(width << i for i in range(halvings))


def _play(player: nn.Module, params: Any, state: Any, inputs: Array) -> tuple[Any, Any]:
    """What a player does in training, and its batch statistics after that."""
    variables = {"params": params, **state}
    return player.apply(variables, inputs, train=True, mutable=list(state))


def _redraw_kernels(params: dict[str, Any], *, key: jax.Array) -> dict[str, Any]:
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)

    def draw(path, leaf, key):
        if path[-1].key != "kernel":
            return leaf
        # Drawn flat: XLA takes seconds to compile a draw of four axes for CPUs.
        return 0.02 * jax.random.normal(key, (leaf.size,)).reshape(leaf.shape)

    keys = jax.random.split(key, len(leaves))
    drawn = [draw(*leaf, key) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, drawn)
