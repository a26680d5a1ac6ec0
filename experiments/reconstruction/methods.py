"""What is maximised in the place of log p(x | z), with the decoder that it needs."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax import losses, models, objectives
from vae_jax.attention import Likelihood
from vae_jax.baselines import resnet18

Images = Float[Array, "batch height width channel"]

LEAST_DEVIATION = 0.05
"""Of a pixel with a variance of its own, in intensities of [0, 1]. With one gray level
the pixels that are always black are all that is learned."""
SSIM_NATS = 300.0
"""What a unit of 1 - SSIM, and of 1 - MS-SSIM, is worth."""
PERCEPTUAL_NATS = 1000.0
"""What a unit of perceptual distance is worth."""


class Method(NamedTuple):
    """A VAE and what it is trained by."""

    model: models.VAE
    likelihood: Likelihood
    as_images: Callable[[Array], Images]
    """From what is decoded to the expected image in [0, 1]."""
    loops: bool = True
    """Whether steps may run in a loop on CPUs: not with convolutions."""


class Look(NamedTuple):
    """A frozen network's idea of how far apart two images are."""

    name: str
    """Random features are never named like others."""
    distance: objectives.Distance


def make_methods(
    image_shape: tuple[int, int, int],
    *,
    hidden: tuple[int, ...],
    latents: int,
    look: Look,
) -> dict[str, Method]:
    """By the names that they have in tables: four likelihoods, and three distances.

    A distance is beside the Bernoulli likelihood.

    Args:
        image_shape: Height, width and channels.
        hidden: Units of the encoder's layers; the decoder mirrors them.
        latents: Of every VAE.
        look: What perceptual distance looks at.
    """
    height, width, channels = image_shape
    plain = models.mlp_vae(image_shape=image_shape, hidden=hidden, latents=latents)
    doubled = models.MLPDecoder(hidden, (height, width, 2 * channels))
    decoder = models.PixelParameters(doubled, image_shape)
    by_pixel = models.VAE(plain.encoder, decoder)
    learned = functools.partial(
        losses.learned_gaussian_log_likelihood, least_deviation=LEAST_DEVIATION
    )
    best = losses.best_variance_log_likelihood
    scales = losses.scales_of(height, width)
    ssim = functools.partial(losses.ssim_loss, c1=0.01**2, c2=0.03**2)
    ms_ssim = functools.partial(losses.ms_ssim_loss, scales=scales)
    return {
        "bernoulli": Method(plain, losses.bernoulli_log_likelihood, jax.nn.sigmoid),
        "unit variance": Method(plain, unit_variance, as_intensities),
        "shared variance": Method(plain, best, as_intensities),
        "pixel variance": Method(by_pixel, learned, means_in_range),
        "+ SSIM": _beside(plain, ssim, SSIM_NATS),
        "+ MS-SSIM": _beside(plain, ms_ssim, SSIM_NATS),
        f"+ {look.name}": _beside(plain, look.distance, PERCEPTUAL_NATS)._replace(
            loops=False
        ),
    }


def _beside(model: models.VAE, distance: objectives.Distance, weight: float) -> Method:
    """A distance beside the Bernoulli likelihood."""
    likelihood = objectives.with_distance(
        losses.bernoulli_log_likelihood,
        distance,
        weight=weight,
        as_images=jax.nn.sigmoid,
    )
    return Method(model, likelihood, jax.nn.sigmoid)


def make_look(
    image_shape: tuple[int, int, int], weights: Path | None, *, stages: int, seed: int
) -> Look:
    """The distance of activations of ResNet-18 near its beginning.

    Args:
        image_shape: Height, width and channels.
        weights: A file of them, see `baselines.resnet18`; None: random ones, by which
            it is then named.
        stages: Of four, whose activations count beside the stem's.
        seed: Of random weights.

    Raises:
        ValueError: The images are not square, there are no such stages, or the file is
            not of ResNet-18.
    """
    height, width, _ = image_shape
    if height != width:
        raise ValueError(f"make_look: images must be square, got {height}x{width}.")
    if not 0 <= stages <= 4:
        raise ValueError(f"--stages must be from 0 to 4, got {stages}.")
    if weights is None:
        found, name = resnet18.random_weights(seed=seed), "perceptual, random"
    else:
        found, name = resnet18.load_weights(weights), "perceptual"
    network = resnet18.build(found, image_size=height)
    activations = functools.partial(resnet18.activations, network, stages=stages)

    def distance(images: Images, reconstructions: Images) -> Float[Array, " batch"]:
        return losses.perceptual_loss(activations(images), activations(reconstructions))

    return Look(name, distance)


def unit_variance(images: Images, decoded: Images) -> Float[Array, " batch"]:
    """Half the squared error, and a constant: of deviation 1, five times the data's."""
    return losses.gaussian_log_likelihood(images, decoded, logvar=math.log(1.0))


def as_intensities(decoded: Images) -> Images:
    """Means, cut to where intensities can be."""
    return jnp.clip(decoded, 0, 1)


def means_in_range(decoded: Array) -> Images:
    """The same of a decoder that learns a variance."""
    return as_intensities(losses.learned_gaussian(decoded)[0])
