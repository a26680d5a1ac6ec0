"""Strided convolution and its transpose, fast in both directions on every backend."""

from vae_jax.models.convolution.strided import conv, conv_transpose

__all__ = ["conv", "conv_transpose"]
