"""The maps that a run compares: of the VAE, and of baselines trained apart."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from experiments.localisation.baselines import BASELINES, size_of
from experiments.localisation.fit import Fit
from experiments.localisation.prepare import Prepared
from experiments.localisation.selection import of_the_vae
from vae_jax import detection
from vae_jax.baselines import MapFunction
from vae_jax.detection import HostImages, HostMaps


class Maps(NamedTuple):
    """Raw maps by method, in the order of the table, at the model's size."""

    test: dict[str, HostMaps]
    normal: dict[str, HostMaps]
    """Of held-out normal images."""
    pasted: dict[str, HostMaps]
    """Of held-out normal images with artificial defects: methods are chosen by them.
    Not of baselines: at the size of their images the defects would be others."""


def explain(prepared: Prepared, network: Fit) -> Maps:
    """Trains the baselines among the methods, and makes all maps of all methods."""
    settings, data = prepared.settings, prepared.data
    own = of_the_vae(prepared.kinds)
    test, normal, pasted = (
        detection.make_maps(own, *network, images)
        for images in (data.test.images, data.validation, prepared.pasted.images)
    )
    for name in prepared.kinds:
        if name not in BASELINES:
            continue
        sized = data.at_size(size_of(name, settings, data))
        maps_of = BASELINES[name].fit(
            settings, sized, prepared.augmentation, prepared.folder / "baselines" / name
        )
        for maps, images in ((test, sized.test.images), (normal, sized.validation)):
            maps[name] = _at_model_size(maps_of, images, settings.image_size)
    return Maps(test, normal, pasted)


def _at_model_size(maps_of: MapFunction, images: HostImages, size: int) -> HostMaps:
    if not len(images):
        return np.zeros((0, size, size), np.float32)
    return np.stack([resize_map(each, (size, size)) for each in maps_of(images)])


def resize_map(
    values: Float[np.ndarray, "rows columns"], shape: tuple[int, ...]
) -> Float[np.ndarray, "height width"]:
    """Bilinear; the same array if it already has the shape."""
    if values.shape == shape:
        return values
    return np.asarray(jax.image.resize(values, shape, "bilinear"))
