"""Variational autoencoders in Linen, with activations marked to be explained."""

from vae_jax.models.blocks import Posterior
from vae_jax.models.vae import (
    VAE,
    VAEOutput,
    init,
    mlp_vae,
    mnist_vae,
    ped1_vae,
    resnet18_vae,
    small_vae,
)

__all__ = [
    "VAE",
    "Posterior",
    "VAEOutput",
    "init",
    "mlp_vae",
    "mnist_vae",
    "ped1_vae",
    "resnet18_vae",
    "small_vae",
]
