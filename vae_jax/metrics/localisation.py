"""How well anomaly maps localise defects: exact figures from raw maps and masks.

Maps and masks are stacked arrays [batch rows columns] or sequences of [rows columns]
whose sizes may differ; masks hold False / True or 0 / 1. All pixels of all images are
pooled as they are: nothing is padded, resized, normalised or binned. Scores are ranked
in float32, or in float64 if any map has more precision than float32 holds.

Beside its input, a call holds one more copy of the scores and about 60 bytes for each
defect pixel.
"""

from bisect import bisect_left
from operator import itemgetter
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Num, Shaped

from vae_jax.metrics import thresholds
from vae_jax.metrics.pixels import (
    Images,
    Map,
    Mask,
    as_maps,
    as_pairs,
    check_both_classes,
    largest_region,
    pool,
)
from vae_jax.metrics.thresholds import BestIou, Curve, Sweep, Ties

PRO_LIMIT = 0.3
"""False positive rate up to which `aupro` integrates unless it is told otherwise."""


class Localisation(NamedTuple):
    """Every figure of one method on one test set."""

    pixel_auroc: float
    aupro: float
    best_iou: float
    best_iou_threshold: float
    best_f1: float
    average_precision: float
    image_auroc: float | None  # None if every image has a defect


def localisation_figures(
    maps: Images,
    masks: Images,
    *,
    limit: float = PRO_LIMIT,
    ties: Ties = "line",
    image_scores: Num[Any, " _"] | None = None,
    image_labels: Shaped[Any, " _"] | None = None,
) -> Localisation:
    """All figures from one sort of the normal pixels.

    Args:
        maps: anomaly maps, higher where more anomalous.
        masks: ground truth.
        limit: false positive rate up to which `aupro` integrates.
        ties: see `aupro`; the other figures have one rule each.
        image_scores: scores for `image_auroc`; each map's maximum if not given.
        image_labels: for `image_auroc`, which images have a defect; if not given, those
            with a pixel in the mask. A resized mask can lose a small defect: give them.

    Raises:
        ValueError: a map has a NaN or not the size of its mask, the masks or the labels
            have only one class, a label contradicts its mask, an image has no score,
            limit is not in (0, 1], or ties is unknown.
    """
    _require_limit("localisation_figures", limit)
    _require_ties("localisation_figures", ties)
    scores, truths = as_pairs("localisation_figures", maps, masks)
    counts = thresholds.sweep(*pool(scores, truths))
    best = thresholds.best_iou(counts)
    if image_scores is None:
        image_scores = np.array([each.max() for each in scores])
    labels = _image_labels(image_labels, truths)
    return Localisation(
        pixel_auroc=thresholds.auroc(counts),
        aupro=thresholds.area_to(counts, counts.overlap, limit=limit, ties=ties),
        best_iou=best.iou,
        best_iou_threshold=best.threshold,
        best_f1=best.f1,
        average_precision=thresholds.average_precision(counts),
        image_auroc=(
            None
            if labels.all()
            else _auroc("localisation_figures", image_scores, labels)
        ),
    )


def pixel_auroc(maps: Images, masks: Images) -> float:
    """P(a defect pixel scores above a normal one), ties counted half.

    Raises:
        ValueError: a map has a NaN or not the size of its mask, or the masks have only
            one class.
    """
    return thresholds.auroc(_sweep("pixel_auroc", maps, masks))


def average_precision(maps: Images, masks: Images) -> float:
    """Sum over thresholds of precision times the recall gained there.

    Raises:
        ValueError: as `pixel_auroc`.
    """
    return thresholds.average_precision(_sweep("average_precision", maps, masks))


def best_iou(maps: Images, masks: Images) -> BestIou:
    """The best IoU over all thresholds of the pooled pixels, with its F1 (= F1max).

    Raises:
        ValueError: as `pixel_auroc`.
    """
    return thresholds.best_iou(_sweep("best_iou", maps, masks))


def aupro(
    maps: Images, masks: Images, *, limit: float = PRO_LIMIT, ties: Ties = "line"
) -> float:
    """Area under the per-region-overlap curve to a false positive rate, over it.

    The overlap is the mean, over the 8-connected defect regions of all images, of
    the share of the region at or above the threshold (Bergmann et al. 2021, IJCV).

    Maps of many equal values, as rectified ones, depend on the rule for ties. By "line"
    the curve is straight through a tie of defect and normal pixels, as in MVTec AD's
    evaluation: constant maps get limit / 2. By "step" the normal pixels of a tie come
    first, as in MVTec 3D-AD's, which also thins the curve: constant maps get 0.

    Raises:
        ValueError: as `pixel_auroc`, limit is not in (0, 1], or ties is unknown.
    """
    _require_limit("aupro", limit)
    _require_ties("aupro", ties)
    counts = _sweep("aupro", maps, masks)
    return thresholds.area_to(counts, counts.overlap, limit=limit, ties=ties)


def roc_curve(maps: Images, masks: Images, *, points: int = 1000) -> Curve:
    """True over false positive rate of the pooled pixels, thinned to draw.

    Raises:
        ValueError: as `pixel_auroc`, or there are less than two points.
    """
    _require_both_ends("roc_curve", points)
    counts = _sweep("roc_curve", maps, masks)
    return thresholds.curve(counts, counts.hits / counts.hits[-1], points=points)


def pro_curve(maps: Images, masks: Images, *, points: int = 1000) -> Curve:
    """Mean per-region overlap over the false positive rate, thinned to draw.

    Raises:
        ValueError: as `pixel_auroc`, or there are less than two points.
    """
    _require_both_ends("pro_curve", points)
    counts = _sweep("pro_curve", maps, masks)
    return thresholds.curve(counts, counts.overlap, points=points)


def image_auroc(scores: Num[Any, " _"], labels: Shaped[Any, " _"]) -> float:
    """P(an image with a defect scores above a normal one), ties counted half.

    Raises:
        ValueError: scores and labels differ in number, a score is NaN, or the labels
            have only one class.
    """
    return _auroc("image_auroc", scores, np.asarray(labels).astype(bool))


def estimated_threshold(normal_maps: Images, *, minimum_area: int) -> float:
    """The lowest threshold at which normal maps show no region of `minimum_area`.

    The protocol of MVTec AD (Bergmann et al. 2019, CVPR, section 4.3): raised on
    normal validation maps until the largest 8-connected region of `map >= threshold`
    has fewer than `minimum_area` pixels. No image with a defect is looked at.

    An image is searched only if it shows such a region where all before it are quiet,
    which of n images in a random order are about log n.

    Raises:
        ValueError: minimum_area is below 1, there is no map, or one has a NaN.
    """
    if minimum_area < 1:
        raise ValueError(
            f"estimated_threshold: minimum_area must be at least 1, got {minimum_area}."
        )
    maps = as_maps("estimated_threshold", normal_maps)
    last_shown = min(scores.min() for scores in maps)
    bounded = [
        (_exceeded_by_fewer(scores, minimum_area), scores)
        for scores in maps
        if scores.size >= minimum_area
    ]
    for bound, scores in sorted(bounded, key=itemgetter(0), reverse=True):
        if bound > last_shown:
            last_shown = _last_shown(scores, minimum_area, low=last_shown, high=bound)
    return float(np.nextafter(last_shown, np.inf, dtype=maps[0].dtype))


def region_overlap(maps: Images, masks: Images, *, threshold: float) -> float:
    """Mean over defect regions of the share of the region with `map >= threshold`.

    With `estimated_threshold` this is the second figure of MVTec AD's tables.

    Raises:
        ValueError: as `pixel_auroc`.
    """
    pixels = pool(*as_pairs("region_overlap", maps, masks))
    return float(pixels.weight[pixels.defect >= threshold].sum())


def _exceeded_by_fewer(scores: Map, count: int) -> np.floating:
    """The lowest score that fewer than `count` pixels exceed."""
    return np.partition(scores, scores.size - count, axis=None)[scores.size - count]


def _last_shown(
    scores: Map, minimum_area: int, *, low: np.floating, high: np.floating
) -> np.floating:
    """The lowest score from `low` to `high` above which no region is large."""

    def is_quiet(score: np.floating) -> bool:
        return largest_region(scores > score) < minimum_area

    if is_quiet(low):
        return low
    candidates = np.unique(scores[(scores > low) & (scores <= high)])
    # Regions only shrink as the threshold rises, so bisection finds the first.
    return candidates[bisect_left(candidates, True, key=is_quiet)]


def _image_labels(
    labels: Shaped[Any, " _"] | None, masks: list[Mask]
) -> Bool[np.ndarray, " _"]:
    seen = np.array([mask.any() for mask in masks])
    if labels is None:
        return seen
    labels = np.asarray(labels).astype(bool)
    if labels.shape != seen.shape:
        raise ValueError(
            f"localisation: image_labels must hold one label for each of {seen.size} "
            f"images, got shape {labels.shape}."
        )
    if (seen & ~labels).any():
        raise ValueError(
            f"localisation: image {np.argmax(seen & ~labels)} has defect pixels but is "
            "labelled normal; correct image_labels or the mask."
        )
    return labels


def _auroc(
    function: str, scores: Num[Any, " _"], labels: Bool[np.ndarray, " _"]
) -> float:
    scores = np.asarray(scores)
    scores = scores.astype(np.result_type(np.float32, scores), copy=False)
    if scores.shape != labels.shape:
        raise ValueError(
            f"{function}: each image needs a score, got {scores.shape} scores and "
            f"{labels.shape} labels."
        )
    if np.isnan(scores).any():
        first = int(np.flatnonzero(np.isnan(scores))[0])
        raise ValueError(f"{function}: scores must be numbers, score {first} is NaN.")
    check_both_classes(f"{function}: labels", int(labels.sum()), labels.size)
    normal, defect = scores[~labels], scores[labels]
    return thresholds.auroc(thresholds.sweep(normal, defect, np.ones_like(defect)))


def _require_limit(function: str, limit: float) -> None:
    if not 0 < limit <= 1:
        raise ValueError(f"{function}: limit must be in (0, 1], got {limit}.")


def _require_ties(function: str, ties: str) -> None:
    if ties not in (known := get_args(Ties)):
        raise ValueError(
            f"{function}: ties must be one of {', '.join(known)}, got {ties!r}."
        )


def _require_both_ends(function: str, points: int) -> None:
    if points < 2:
        raise ValueError(
            f"{function}: points must be at least 2, both ends, got {points}."
        )


def _sweep(function: str, maps: Images, masks: Images) -> Sweep:
    return thresholds.sweep(*pool(*as_pairs(function, maps, masks)))
