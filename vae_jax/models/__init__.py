"""Variational autoencoders in Linen, with activations marked to be explained."""

from vae_jax.models.autoregressive import (
    AutoregressiveDecoder,
    PixelVAE,
    sample_pixels,
)
from vae_jax.models.blocks import Posterior
from vae_jax.models.codes import (
    AveragingQuantizer,
    Quantised,
    VectorQuantizer,
    straight_through,
)
from vae_jax.models.conditional import M2, ConditionalVAE, init_conditional
from vae_jax.models.conv import ConvDecoder, ConvEncoder
from vae_jax.models.disentangling import (
    Discriminator,
    burgess_vae,
    init_discriminator,
    kim_vae,
    locatello_vae,
    repro2021_vae,
)
from vae_jax.models.mlp import MLPDecoder, MLPEncoder
from vae_jax.models.pixel_parameters import PixelParameters, SharedVariance
from vae_jax.models.resnet import ResNetEncoder
from vae_jax.models.taps import tap
from vae_jax.models.vae import (
    VAE,
    VAEOutput,
    init,
    mlp_vae,
    mnist_vae,
    ped1_vae,
    repro2021_ped1_vae,
    resnet18_vae,
    small_vae,
)

__all__ = [
    "M2",
    "VAE",
    "AutoregressiveDecoder",
    "AveragingQuantizer",
    "ConditionalVAE",
    "ConvDecoder",
    "ConvEncoder",
    "Discriminator",
    "MLPDecoder",
    "MLPEncoder",
    "PixelParameters",
    "PixelVAE",
    "Posterior",
    "Quantised",
    "ResNetEncoder",
    "SharedVariance",
    "VAEOutput",
    "VectorQuantizer",
    "burgess_vae",
    "init",
    "init_conditional",
    "init_discriminator",
    "kim_vae",
    "locatello_vae",
    "mlp_vae",
    "mnist_vae",
    "ped1_vae",
    "repro2021_ped1_vae",
    "repro2021_vae",
    "resnet18_vae",
    "sample_pixels",
    "small_vae",
    "straight_through",
    "tap",
]
