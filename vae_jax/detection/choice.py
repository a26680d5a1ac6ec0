"""The map that a detector explains its images by, chosen without a look at defects."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from vae_jax import metrics
from vae_jax.data import defects
from vae_jax.detection.batches import HostImages
from vae_jax.detection.evidence import Evidence
from vae_jax.detection.explainer import Explainer
from vae_jax.detection.methods import CANDIDATES, HostMaps, make_maps

PASTED_ON = 32
"""Held-out normal images, each shown with every kind of artificial defect."""


class Pasted(NamedTuple):
    """Normal images, as they are and with artificial defects, and where these are."""

    images: UInt8[np.ndarray, "image height width channel"]
    masks: Bool[np.ndarray, "image height width"]


def artificial_defects(held_out: HostImages, *, seed: int) -> Pasted:
    """Held-out normal images, as they are and with a pasted defect of each kind.

    What methods are chosen on, since the test images must not be: real defects are
    others, so these figures rank methods but do not predict theirs. Of many images,
    `PASTED_ON` that are spread over all of them: the first may be of one clip.
    """
    count = min(PASTED_ON, len(held_out))
    normal = held_out[np.rint(np.linspace(0, len(held_out) - 1, count)).astype(int)]
    copies = np.repeat(normal, len(defects.KINDS), axis=0)
    pasted = defects.add_defects(copies, seed=seed)
    clean = np.zeros(normal.shape[:3], np.bool_)
    return Pasted(
        np.concatenate([normal, pasted.images]),
        np.concatenate([clean, pasted.masks]),
    )


def score_choice(
    maps: Mapping[str, HostMaps], pasted: Pasted
) -> dict[str, dict[str, float]]:
    """The figures that methods are chosen by, of their maps of `pasted.images`."""
    found = {
        name: metrics.localisation_figures(each, pasted.masks)
        for name, each in maps.items()
    }
    return {
        name: {
            "validation_aupro": figures.aupro,
            "validation_iou": figures.best_iou,
        }
        for name, figures in found.items()
    }


def choose(explainer: Explainer, evidence: Evidence, pasted: Pasted) -> Explainer:
    """The explainer, its `choice` the best of `CANDIDATES` for these images.

    That is the one with the highest AUPRO + best IoU on artificial defects, which are
    not those of any test set. Its own figures on them are, as the highest of several,
    a little too good.
    """
    maps = make_maps(CANDIDATES, explainer, evidence, pasted.images)
    figures = score_choice(maps, pasted)
    best = max(CANDIDATES, key=lambda name: sum(figures[name].values()))
    return dataclasses.replace(explainer, choice=best)
