"""UCSD Ped1: a walkway filmed from above, read from the folder as published."""

from vae_jax.data.ucsd_ped1.builder import UCSDPed1, prepare
from vae_jax.data.ucsd_ped1.layout import list_clips
from vae_jax.data.ucsd_ped1.protocols import Protocol, load_ped1

__all__ = ["Protocol", "UCSDPed1", "list_clips", "load_ped1", "prepare"]
