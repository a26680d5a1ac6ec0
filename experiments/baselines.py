"""The baselines that train a network of their own, by the names they have in tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from experiments.settings import Settings
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData

MapFunction = Callable[
    [UInt8[np.ndarray, "image height width channel"]],
    Float[np.ndarray, "image height width"],
]
"""From images at the baseline's size to raw maps."""
Fit = Callable[[Settings, CategoryData, Augmentation, Path], MapFunction]

BASELINES: dict[str, Fit] = {}
"""From settings, data at the baseline's size, augmentation and a folder for
checkpoints to a fitted baseline."""
