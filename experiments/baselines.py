"""The baselines that train a network of their own, by the names they have in tables."""

from collections.abc import Callable
from pathlib import Path

from experiments.settings import Settings
from vae_jax.baselines import MapFunction
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData

Fit = Callable[[Settings, CategoryData, Augmentation, Path], MapFunction]

BASELINES: dict[str, Fit] = {}
"""From settings, data at the baseline's size, augmentation and a folder for
checkpoints to a fitted baseline."""
