"""Explain variational autoencoders and put the explanations to work."""

__version__ = "0.1.0"
