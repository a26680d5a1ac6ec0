"""One pass over all thresholds: what every ranking metric is computed from.

A threshold `t` predicts a defect wherever `score >= t`. Lowering it over a normal
score moves a curve to the right and never up, so nothing needs to be kept but the
distinct scores of defect pixels, and how many normal pixels lie above each.
"""

from typing import Literal, NamedTuple, assert_never

import numpy as np
from jaxtyping import Float, Int

Ties = Literal["line", "step"]
"""Where defect and normal pixels tie: a straight line through the tie, or the normal
pixels first, so that the defect's rise comes at the tie's end."""


class Sweep(NamedTuple):
    """Counts at each distinct score of a defect pixel, highest score first."""

    thresholds: Float[np.ndarray, " thresholds"]
    hits: Int[np.ndarray, " thresholds"]  # defect pixels at or above
    overlap: Float[np.ndarray, " thresholds"]  # share of the weight in those pixels
    false_alarms: Int[np.ndarray, " thresholds"]  # normal pixels at or above
    false_alarms_above: Int[np.ndarray, " thresholds"]  # normal pixels above: no ties
    normals: int


class BestIou(NamedTuple):
    """The best intersection over union, its F1 = 2 IoU / (1 + IoU), its threshold."""

    iou: float
    f1: float
    threshold: float


class Curve(NamedTuple):
    """Vertices of a curve from (0, 0) to (1, 1), drawn with straight lines."""

    false_positive_rate: Float[np.ndarray, " points"]
    rate: Float[np.ndarray, " points"]


def sweep(
    normal: Float[np.ndarray, " normals"],
    defect: Float[np.ndarray, " defects"],
    weight: Float[np.ndarray, " defects"],
) -> Sweep:
    """Counts over all thresholds; **sorts `normal` in place** to save its memory.

    Args:
        normal: scores of normal pixels.
        defect: scores of defect pixels.
        weight: what each defect pixel adds to `overlap`, in proportion.
    """
    normal.sort()
    order = np.argsort(defect)[::-1]
    defect = defect[order]
    last_of_ties = np.flatnonzero(np.append(defect[1:] != defect[:-1], True))
    thresholds = defect[last_of_ties]
    overlap = np.cumsum(weight[order], dtype=np.float64)
    return Sweep(
        thresholds=thresholds,
        hits=last_of_ties + 1,
        overlap=overlap[last_of_ties] / overlap[-1],
        false_alarms=normal.size - np.searchsorted(normal, thresholds, "left"),
        false_alarms_above=normal.size - np.searchsorted(normal, thresholds, "right"),
        normals=normal.size,
    )


def area_to(
    counts: Sweep,
    height: Float[np.ndarray, " thresholds"],
    *,
    limit: float,
    ties: Ties = "line",
) -> float:
    """Area under (false positive rate, height) from 0 to `limit`, over `limit`.

    Every threshold adds its step of height: as a ramp from `false_alarms_above` to
    `false_alarms` (a jump unless normal pixels tie with it), or by the other rule for
    `ties` at `false_alarms`. The area is the sum of theirs, and the limit may cut one.
    """
    end = limit * counts.normals
    start, stop = counts.false_alarms_above, counts.false_alarms
    area = np.maximum(end - stop, 0)
    match ties:
        case "line":
            climbed = np.clip(end, start, stop) - start
            area = area + climbed**2 / (2 * np.maximum(stop - start, 1))
        case "step":
            pass
        case _:
            assert_never(ties)
    # The steps of a perfect curve may add up to a rounding more.
    return min(float(np.diff(height, prepend=0.0) @ area / end), 1.0)


def auroc(counts: Sweep) -> float:
    """Area under the ROC curve: P(defect > normal) + P(defect = normal) / 2."""
    return area_to(counts, counts.hits / counts.hits[-1], limit=1.0)


def average_precision(counts: Sweep) -> float:
    """Sum over thresholds of precision times the recall gained there."""
    gained = np.diff(counts.hits, prepend=0) / counts.hits[-1]
    return float(gained @ (counts.hits / (counts.hits + counts.false_alarms)))


def best_iou(counts: Sweep) -> BestIou:
    """The threshold of the highest IoU; F1 = 2 IoU / (1 + IoU) peaks there too."""
    iou = counts.hits / (counts.hits[-1] + counts.false_alarms)
    best = int(np.argmax(iou))
    f1 = 2 * iou[best] / (1 + iou[best])
    return BestIou(float(iou[best]), float(f1), float(counts.thresholds[best]))


def curve(
    counts: Sweep, height: Float[np.ndarray, " thresholds"], *, points: int
) -> Curve:
    """At most `points` vertices of the curve, evenly spaced along its length."""
    alarms = np.stack([counts.false_alarms_above, counts.false_alarms], 1).ravel()
    before = np.concatenate([[0.0], height[:-1]])
    rates = np.stack([before, height], 1).ravel()
    x = np.concatenate([[0.0], alarms / counts.normals, [1.0]])
    y = np.concatenate([[0.0], rates, [1.0]])
    length = x + y
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], points)))
    return Curve(x[kept], y[kept])
