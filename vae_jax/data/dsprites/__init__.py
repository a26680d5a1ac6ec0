"""dSprites: a dSprites-compatible, procedural set, and the original from its files.

The original: Matthey, Higgins, Hassabis, Lerchner, "dSprites: Disentanglement testing
Sprites dataset", 2017, https://github.com/deepmind/dsprites-dataset. The builder and
the loader need TensorFlow Datasets and are imported by name: `dsprites.builder`,
`dsprites.files`.
"""

from vae_jax.data.dsprites.rendering import (
    GRID,
    PROCEDURAL,
    SIDE,
    VALUES,
    pack,
    render,
    unpack,
)
from vae_jax.data.dsprites.variants import colour, noisy

__all__ = [
    "GRID",
    "PROCEDURAL",
    "SIDE",
    "VALUES",
    "colour",
    "noisy",
    "pack",
    "render",
    "unpack",
]
