"""The baselines that train a network of their own, by the names they have in tables."""

import dataclasses
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from experiments.localisation.settings import Settings
from vae_jax.baselines import MapFunction
from vae_jax.baselines.anogan import MOST_TILES, fit_anogan
from vae_jax.baselines.autoencoder import Loss, fit_autoencoder
from vae_jax.baselines.dcgan import SMALLEST_IMAGE
from vae_jax.baselines.feature_dictionary import fit_feature_dictionary
from vae_jax.baselines.resnet18 import load_weights
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData
from vae_jax.data.images import smallest_side

Fit = Callable[[Settings, CategoryData, Augmentation, Path], MapFunction]


@dataclasses.dataclass(frozen=True)
class Baseline:
    """How a baseline is fitted, and the side in pixels at which it sees the images."""

    fit: Fit
    object_size: int = 256
    texture_size: int = 512


def _fit_autoencoder(loss: Loss) -> Fit:
    def fit(
        settings: Settings, data: CategoryData, augmentation: Augmentation, folder: Path
    ) -> MapFunction:
        options = _training(settings)
        if settings.baseline_size is not None and data.is_texture:
            # As published, patches have a quarter of the side of the image.
            patch = max(16, settings.baseline_size // 4)
            options |= {"patch": patch, "stride": max(1, round(30 / 128 * patch))}
        return fit_autoencoder(
            data.train,
            loss=loss,
            is_texture=data.is_texture,
            seed=settings.seed,
            folder=folder,
            augmentation=augmentation,
            **options,
        )

    return fit


def _fit_anogan(
    settings: Settings, data: CategoryData, augmentation: Augmentation, folder: Path
) -> MapFunction:
    return fit_anogan(
        data.train,
        seed=settings.seed,
        folder=folder,
        augmentation=augmentation,
        is_texture=data.is_texture,
        width=settings.anogan_width,
        image_size=_anogan_size(settings, data),
        **_training(settings),
    )


def _anogan_size(settings: Settings, data: CategoryData) -> int:
    """Side in pixels of what AnoGAN draws: of textures, a tile."""
    size = size_of("anogan", settings, data)
    return size // MOST_TILES if data.is_texture else size


def _fit_feature_dictionary(
    settings: Settings, data: CategoryData, augmentation: Augmentation, folder: Path
) -> MapFunction:
    del folder  # nothing is trained
    weights = settings.feature_weights
    return fit_feature_dictionary(
        data.train,
        weights=None if weights is None else Path(weights).expanduser(),
        seed=settings.seed,
        augmentation=augmentation,
        is_texture=data.is_texture,
        image_size=len(data.train[0]),
    )


def _training(settings: Settings) -> dict[str, Any]:
    """What the settings say in place of the published numbers."""
    said = {
        "steps": settings.baseline_steps,
        "batch_size": settings.baseline_batch_size,
    }
    return {name: value for name, value in said.items() if value is not None}


BASELINES = {
    "ae-l2": Baseline(_fit_autoencoder("l2")),
    "ae-ssim": Baseline(_fit_autoencoder("ssim")),
    "anogan": Baseline(_fit_anogan, object_size=128),
    "feature-dictionary": Baseline(_fit_feature_dictionary),
    "feature-dictionary-random": Baseline(_fit_feature_dictionary),
}
"""Each gets the data at its own size, and a folder for checkpoints."""


def available(settings: Settings) -> list[str]:
    """The baselines that the settings permit: the dictionary as its weights are."""
    has_weights = settings.feature_weights is not None
    other = "feature-dictionary-random" if has_weights else "feature-dictionary"
    return [name for name in BASELINES if name != other]


def size_of(name: str, settings: Settings, data: CategoryData) -> int:
    """Side in pixels at which a baseline sees the images."""
    if settings.baseline_size is not None:
        return settings.baseline_size
    baseline = BASELINES[name]
    return baseline.texture_size if data.is_texture else baseline.object_size


def check(settings: Settings, data: CategoryData, methods: Collection[str]) -> None:
    """Refuses what the baselines among the methods would refuse after long training.

    Raises:
        ValueError: Their size is none that AnoGAN can draw, or the images are too small
            to be enlarged to it.
    """
    for name in BASELINES:
        if name not in methods:
            continue
        size = size_of(name, settings, data)
        needed, shortest = smallest_side(size), data.shortest_side
        if shortest is not None and shortest < needed:
            raise ValueError(
                f"--baseline-size: {name} sees images at {size} pixels, for which they "
                f"need {needed} a side; of {data.category} one has {shortest}. Give "
                "a smaller size, or leave the baselines out (--methods)."
            )
    drawn = _anogan_size(settings, data)
    if "anogan" in methods and (drawn < SMALLEST_IMAGE or drawn.bit_count() != 1):
        raise ValueError(
            "--baseline-size: anogan draws images of a power of two, at least "
            f"{SMALLEST_IMAGE} pixels, of textures in {MOST_TILES}x{MOST_TILES} tiles; "
            f"got {settings.baseline_size}, that is {drawn} for {data.category}."
        )


def check_weights(settings: Settings, methods: Collection[str]) -> None:
    """Reads the file of weights if one of the methods wants it.

    Raises:
        ValueError: It is not of ResNet-18.
        OSError: It cannot be read.
    """
    if settings.feature_weights is not None and "feature-dictionary" in methods:
        load_weights(Path(settings.feature_weights).expanduser())
