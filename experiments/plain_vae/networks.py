"""The networks of the command, and how what they say of pixels is read."""

import functools
import math
from collections.abc import Callable
from typing import Literal, NamedTuple, assert_never

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae_jax import attention, losses, models

Network = Literal["mlp", "conv"]
Likelihood = Literal["bernoulli", "gaussian", "learned_gaussian", "logistic_mixture"]

COMPONENTS = 5
"""Of a mixture of logistics."""
DEVIATION = 0.1
"""Of the Gaussian whose variance is not learned, for pixels in [0, 1]."""
CHANNELS = (16, 32)
"""Of the convolutional network; its images are halved twice."""


class Built(NamedTuple):
    """A network with its likelihood."""

    model: models.VAE
    likelihood: attention.Likelihood
    as_images: Callable[[Array], Array]
    """What a decoder says, as images in [0, 1]."""


def build(
    network: Network,
    likelihood: Likelihood,
    image_shape: tuple[int, int, int],
    *,
    hidden: int,
    latents: int,
) -> Built:
    """Two hidden layers of a width on either side, or two convolutions and one."""
    *size, channels = image_shape
    mixture = COMPONENTS * (3 if channels == 1 else 10)
    match likelihood:
        case "bernoulli":
            said, nats, read = channels, losses.bernoulli_log_likelihood, jax.nn.sigmoid
        case "gaussian":
            fixed = {"logvar": 2 * math.log(DEVIATION)}
            nats = functools.partial(losses.gaussian_log_likelihood, **fixed)
            said, read = channels, _clipped
        case "learned_gaussian":
            said, nats = 2 * channels, losses.learned_gaussian_log_likelihood
            read = _learned_mean
        case "logistic_mixture":
            said, nats = mixture, losses.discretised_logistic_mixture_log_likelihood
            read = functools.partial(_mixture_mean, channels)
        case _:
            assert_never(likelihood)
    encoder, decoder = _parts(network, (size[0], size[1], said), hidden, latents)
    if said != channels:
        decoder = models.PixelParameters(decoder, image_shape)
    return Built(models.VAE(encoder, decoder), nats, read)


def _parts(network: Network, said: tuple[int, int, int], hidden: int, latents: int):
    match network:
        case "mlp":
            layers = (hidden, hidden)
            return models.MLPEncoder(layers, latents), models.MLPDecoder(layers, said)
        case "conv":
            return (
                models.ConvEncoder(CHANNELS, hidden, latents),
                models.ConvDecoder(CHANNELS, hidden, said),
            )
        case _:
            assert_never(network)


def _clipped(mean: Array) -> Array:
    return mean.clip(0, 1)


def _learned_mean(parameters: Array) -> Array:
    return losses.learned_gaussian(parameters)[0].clip(0, 1)


def _mixture_mean(channels: int, parameters: Array) -> Array:
    """The mean of the mixture, without what one colour says of another."""
    groups = parameters.reshape(*parameters.shape[:-1], -1, COMPONENTS)
    weights = jax.nn.softmax(groups[..., :1, :])
    means = (weights * groups[..., 1 : 1 + channels, :]).sum(-1)
    return jnp.clip((means + 1) / 2, 0, 1)
