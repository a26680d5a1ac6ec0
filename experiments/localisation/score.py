"""The figures of a run's maps: on the whole test set, and on each kind of defect."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from experiments.localisation.explain import Maps, resize_map
from experiments.localisation.prepare import Prepared
from vae_jax import detection, metrics, train
from vae_jax.calibration import MINIMUM_DEFECT_SHARE
from vae_jax.data.category import TestImages
from vae_jax.data.layout import GOOD
from vae_jax.data.survey import middle_size
from vae_jax.detection import DEFAULT_METHOD, HostMaps
from vae_jax.metrics import Curve

Row = dict[str, Any]
Mask = Bool[np.ndarray, "height width"]

FIGURES = ("pixel_auroc", "aupro", "best_iou", "average_precision", "image_auroc")
CHOSEN_BY = ("validation_aupro", "validation_iou")


class Curves(NamedTuple):
    """Over all thresholds, at the model's size."""

    roc: Curve
    pro: Curve


class Scores(NamedTuple):
    """What the maps of a run are worth, as far as there are labels."""

    rows: list[Row]
    """One a method."""
    defects: list[Row]
    """One a kind of defect and method of interest."""
    of_interest: list[str]
    """The default method, the paper's, and the best baseline and floor."""
    typical: dict[str, int]
    """An image of each kind of defect, see `typical_images`."""
    curves: dict[str, Curves]
    """Of every method, in the first process alone; none where no pixels tell apart."""


def score(prepared: Prepared, maps: Maps) -> Scores:
    """Every figure of every method."""
    data, native = prepared.data, prepared.settings.resolution == "native"
    found = score_methods(data.test, maps.test, maps.normal, native=native)
    choice = detection.score_choice(maps.pasted, prepared.pasted)
    rows = [
        {"category": data.category, "method": name, "kind": kind}
        | found[name]
        | choice.get(name, dict.fromkeys(CHOSEN_BY))
        for name, kind in prepared.kinds.items()
    ]
    of_interest = [DEFAULT_METHOD, *(["paper"] if "paper" in prepared.kinds else [])]
    of_interest += [*best(rows, "baseline"), *best(rows, "floor")]
    defects = [
        {"category": data.category, **row}
        for row in score_defects(of_interest, maps.test, data.test)
    ]
    typical = typical_images(data.test, maps.test[DEFAULT_METHOD])
    curves = curves_of(data.test, maps.test) if train.is_primary() else {}
    return Scores(rows, defects, of_interest, typical, curves)


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
    normal images everything. Single images without a mask count for the image AUROC.

    "overlap" is the mean share of a defect region found at a threshold that
    `normal_maps`, of held-out normal images, set (Bergmann et al. 2019, section 4.3).
    """
    if not test.has_both_classes:
        return {name: dict.fromkeys((*FIGURES, "overlap")) for name in maps}
    if not (test.can_score_pixels or (native and test.has_masked_defects)):
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
    normal_size = middle_size([mask.shape for mask in masks])
    minimum_area = max(1, round(MINIMUM_DEFECT_SHARE * math.prod(normal_size)))
    rows = {}
    for name, values in maps.items():
        scaled = [
            resize_map(each, mask.shape)
            for each, mask in zip(values, masks, strict=True)
        ]
        normal = [resize_map(each, normal_size) for each in normal_maps[name]]
        threshold = metrics.estimated_threshold(normal, minimum_area=minimum_area)
        known = test.is_masked
        of_pixels = _chosen(scaled, known), _chosen(masks, known)
        overlap = metrics.region_overlap(*of_pixels, threshold=threshold)
        figures = _figures(scaled, masks, known, test.is_anomalous)
        rows[name] = figures | {"overlap": overlap}
    return rows


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
        known, labels = test.is_masked[chosen], test.is_anomalous[chosen]
        for name in names:
            figures = _figures(maps[name][chosen], test.masks[chosen], known, labels)
            rows.append({"defect": kind, "method": name, **figures})
    return rows


def curves_of(test: TestImages, maps: Mapping[str, HostMaps]) -> dict[str, Curves]:
    """ROC and PRO of each method, as far as there are pixels to tell apart."""
    if not test.can_score_pixels:
        return {}
    known = test.is_masked
    masks = test.masks[known]
    return {
        name: Curves(
            metrics.roc_curve(each[known], masks), metrics.pro_curve(each[known], masks)
        )
        for name, each in maps.items()
    }


def best(rows: Sequence[Row], kind: str) -> list[str]:
    """The method of a kind with the highest AUPRO, if there is one."""
    own = [row for row in rows if row["kind"] == kind and row["aupro"] is not None]
    return [max(own, key=lambda row: row["aupro"])["method"]] if own else []


def typical_images(test: TestImages, maps: HostMaps) -> dict[str, int]:
    """Of each kind of defect, the image whose map is neither good nor bad for it.

    That is the median by average precision, of those with a mask if there are some; of
    the good images, by the highest value.
    """
    chosen, known = {}, test.is_masked
    for kind in dict.fromkeys(test.defects):
        indices = [i for i, defect in enumerate(test.defects) if defect == kind]
        indices = [i for i in indices if known[i]] or indices
        quality = [_quality(maps[i], test.masks[i]) for i in indices]
        chosen[kind] = indices[int(np.argsort(quality)[len(indices) // 2])]
    return chosen


def _figures(
    maps: Any,
    masks: Any,
    known: Bool[np.ndarray, " image"],
    image_labels: Bool[np.ndarray, " image"],
) -> dict[str, float | None]:
    """Of pixels where a mask is `known`, of images all."""
    found = metrics.localisation_figures(
        _chosen(maps, known), _chosen(masks, known), image_labels=image_labels[known]
    )._asdict()
    if not known.all():
        scores = np.array([each.max() for each in maps])
        found["image_auroc"] = metrics.image_auroc(scores, image_labels)
    return {name: found[name] for name in FIGURES}


def _chosen(images: Any, which: Bool[np.ndarray, " image"]) -> list[Any]:
    return [image for image, taken in zip(images, which, strict=True) if taken]


def _quality(values: Float[np.ndarray, "rows columns"], mask: Mask) -> float:
    if mask.any() and not mask.all():
        return metrics.average_precision(values[None], mask[None])
    return float(values.max())
