"""The maps that a run compares: of the VAE, and of baselines trained apart."""

from typing import NamedTuple

import numpy as np

from experiments.baselines import BASELINES, available, size_of
from experiments.evaluation import Masks, artificial_defects, resize_map
from experiments.explainer import Explainer, Fitted, HostImages
from experiments.methods import (
    ABLATION,
    DEFAULT_METHOD,
    METHODS,
    HostMaps,
    Kind,
    make_maps,
)
from experiments.settings import Settings
from vae_jax.baselines import MapFunction
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData
from vae_jax.spelling import did_you_mean


class Compared(NamedTuple):
    """Raw maps by method, in the order of the table, at the model's size."""

    kinds: dict[str, Kind]
    test: dict[str, HostMaps]
    normal: dict[str, HostMaps]
    """Of held-out normal images."""
    pasted: dict[str, HostMaps]
    """Of held-out normal images with artificial defects: methods are chosen by them.
    Not of baselines: at the size of their images the defects would be others."""
    pasted_masks: Masks


def select(settings: Settings) -> dict[str, Kind]:
    """The methods that the settings name, or name a group of, each once.

    The default method is always among them, and first: reports and detectors are its.

    Raises:
        ValueError: A name is neither a method, with or without @tap, nor a group; or it
            is a method that wants a file of weights, and there is none.
    """
    kinds: dict[str, Kind] = {name: each.kind for name, each in METHODS.items()}
    baselines = available(settings)
    kinds.update({name: "baseline" for name in baselines})
    vae = [name for name in METHODS if kinds[name] != "floor"]
    groups = {
        "all": list(kinds),
        "vae": vae,
        "ablation": [*vae, *ABLATION],
        "floor": [name for name in METHODS if kinds[name] == "floor"],
        "baseline": baselines,
    }
    kinds.update({name: each.kind for name, each in ABLATION.items()})
    chosen: dict[str, Kind] = {DEFAULT_METHOD: kinds[DEFAULT_METHOD]}
    for name in settings.methods:
        base, _, tap = name.partition("@")
        if name == "feature-dictionary" and name not in kinds:
            raise ValueError(
                "--methods: feature-dictionary wants ImageNet weights; give their file "
                "with --feature-weights, or take feature-dictionary-random."
            )
        if base not in (METHODS | ABLATION if tap else kinds | groups):
            raise ValueError(
                f"--methods: there is no {name!r}"
                f"{did_you_mean(base, [*kinds, *groups])} "
                f"Groups: {', '.join(groups)}. Methods: {', '.join(kinds)}."
            )
        chosen |= {each: kinds[each.split("@")[0]] for each in groups.get(name, [name])}
    return chosen


def of_the_vae(settings: Settings) -> list[str]:
    """Those of the methods that need no network of their own: one program makes all."""
    return [name for name in select(settings) if name not in BASELINES]


def taps_of(settings: Settings) -> list[str]:
    """Every tap that the settings name."""
    named = [name.partition("@")[2] for name in select(settings)]
    return [settings.tap, *(tap for tap in named if tap)]


def compare(
    settings: Settings,
    data: CategoryData,
    augmentation: Augmentation,
    explainer: Explainer,
    fitted: Fitted,
) -> Compared:
    """Trains the baselines among the methods, and makes all maps of all methods."""
    kinds = select(settings)
    pasted, masks = artificial_defects(data.validation, seed=settings.seed)
    own = of_the_vae(settings)
    test, normal, pasted_maps = (
        make_maps(own, explainer, fitted, images)
        for images in (data.test.images, data.validation, pasted)
    )
    for name in kinds:
        if name not in BASELINES:
            continue
        sized = data.at_size(size_of(name, settings, data))
        maps_of = _fit(settings, sized, augmentation, name)
        for maps, images in ((test, sized.test.images), (normal, sized.validation)):
            maps[name] = _at_model_size(maps_of, images, settings.image_size)
    return Compared(kinds, test, normal, pasted_maps, masks)


def _fit(
    settings: Settings, data: CategoryData, augmentation: Augmentation, name: str
) -> MapFunction:
    folder = settings.folder / data.category / "baselines" / name
    return BASELINES[name].fit(settings, data, augmentation, folder)


def _at_model_size(maps_of: MapFunction, images: HostImages, size: int) -> HostMaps:
    if not len(images):
        return np.zeros((0, size, size), np.float32)
    return np.stack([resize_map(each, (size, size)) for each in maps_of(images)])
