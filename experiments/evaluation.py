"""The figures of anomaly maps: on the whole test set, and on each kind of defect."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from experiments.explainer import HostImages
from experiments.methods import HostMaps
from experiments.thresholds import MINIMUM_DEFECT_SHARE
from vae_jax import metrics
from vae_jax.data import defects
from vae_jax.data.category import TestImages
from vae_jax.data.layout import GOOD

Row = dict[str, Any]
Mask = Bool[np.ndarray, "height width"]
Masks = Bool[np.ndarray, "image height width"]

PRO_LIMIT = 0.3
PASTED_ON = 32
"""Held-out normal images, each shown with every kind of artificial defect."""
FIGURES = ("pixel_auroc", "aupro", "best_iou", "average_precision", "image_auroc")


def score_methods(
    test: TestImages,
    maps: Mapping[str, HostMaps],
    normal_maps: Mapping[str, HostMaps],
    *,
    native: bool,
) -> dict[str, Row]:
    """The figures of each method's raw maps against all test masks.

    What the labels do not permit is None: without masks, or where all defects are too
    small for the model's size, all but the image AUROC, without defects or without
    normal images everything.

    "overlap" is the mean share of a defect region found at a threshold that
    `normal_maps`, of held-out normal images, set (Bergmann et al. 2019, section 4.3).
    """
    if not test.has_both_classes:
        return {name: dict.fromkeys((*FIGURES, "overlap")) for name in maps}
    if not (test.can_score_pixels or (native and test.has_masks)):
        return {
            name: dict.fromkeys((*FIGURES, "overlap"))
            | {
                "image_auroc": metrics.image_auroc(
                    values.max((1, 2)), test.is_anomalous
                )
            }
            for name, values in maps.items()
        }
    masks = list(test.native_masks if native else test.masks)
    minimum_area = max(1, round(MINIMUM_DEFECT_SHARE * masks[0].size))
    rows = {}
    for name, values in maps.items():
        scaled = [
            resize_map(each, mask.shape)
            for each, mask in zip(values, masks, strict=True)
        ]
        normal = [resize_map(each, masks[0].shape) for each in normal_maps[name]]
        threshold = metrics.estimated_threshold(normal, minimum_area=minimum_area)
        overlap = metrics.region_overlap(scaled, masks, threshold=threshold)
        figures = _figures(scaled, masks, image_labels=test.is_anomalous)
        rows[name] = figures | {"overlap": overlap}
    return rows


def artificial_defects(
    validation: HostImages, *, seed: int
) -> tuple[HostImages, Masks]:
    """Held-out normal images, as they are and with a pasted defect of each kind.

    What methods are chosen on, since the test images must not be: real defects are
    others, so these figures rank methods but do not predict theirs. Of many images,
    `PASTED_ON` that are spread over all of them: the first may be of one clip.
    """
    count = min(PASTED_ON, len(validation))
    normal = validation[np.rint(np.linspace(0, len(validation) - 1, count)).astype(int)]
    copies = np.repeat(normal, len(defects.KINDS), axis=0)
    pasted = defects.add_defects(copies, seed=seed)
    clean = np.zeros(normal.shape[:3], np.bool_)
    return (
        np.concatenate([normal, pasted.images]),
        np.concatenate([clean, pasted.masks]),
    )


def score_choice(maps: Mapping[str, HostMaps], masks: Masks) -> dict[str, Row]:
    """The figures that methods are chosen by, of maps of `artificial_defects`."""
    found = {name: _figures(maps[name], masks) for name in maps}
    return {
        name: {
            "validation_aupro": figures["aupro"],
            "validation_iou": figures["best_iou"],
        }
        for name, figures in found.items()
    }


def score_defects(
    names: Sequence[str], maps: Mapping[str, HostMaps], test: TestImages
) -> list[Row]:
    """One row a kind of defect and method, against the masks of all good images too."""
    if not (test.has_masks and test.has_both_classes):
        return []
    kinds = np.asarray(test.defects)
    rows = []
    for kind in dict.fromkeys(defect for defect in test.defects if defect != GOOD):
        chosen = np.isin(kinds, (GOOD, kind))
        if not test.masks[chosen].any():
            continue  # all too small for the model's size
        labels = test.is_anomalous[chosen]
        for name in names:
            figures = _figures(
                maps[name][chosen], test.masks[chosen], image_labels=labels
            )
            rows.append({"defect": kind, "method": name, **figures})
    return rows


def resize_map(
    values: Float[np.ndarray, "rows columns"], shape: tuple[int, ...]
) -> Float[np.ndarray, "height width"]:
    """Bilinear; the same array if it already has the shape."""
    if values.shape == shape:
        return values
    return np.asarray(jax.image.resize(values, shape, "bilinear"))


def typical_images(test: TestImages, maps: HostMaps) -> dict[str, int]:
    """Of each kind of defect, the image whose map is neither good nor bad for it.

    That is the median by average precision; of the good images, by the highest value.
    """
    chosen = {}
    for kind in dict.fromkeys(test.defects):
        indices = [i for i, defect in enumerate(test.defects) if defect == kind]
        quality = [_quality(maps[i], test.masks[i]) for i in indices]
        chosen[kind] = indices[int(np.argsort(quality)[len(indices) // 2])]
    return chosen


def _figures(
    maps: Any, masks: Any, *, image_labels: Bool[np.ndarray, " image"] | None = None
) -> dict[str, float | None]:
    found = metrics.localisation(
        maps, masks, limit=PRO_LIMIT, image_labels=image_labels
    )._asdict()
    return {name: found[name] for name in FIGURES}


def _quality(values: Float[np.ndarray, "rows columns"], mask: Mask) -> float:
    if mask.any() and not mask.all():
        return metrics.average_precision(values[None], mask[None])
    return float(values.max())
