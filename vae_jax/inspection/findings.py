"""What is found in an image: its row in a table, and what all rows come to."""

import collections
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from vae_jax.calibration import Calibration, promised_rate
from vae_jax.data import folder
from vae_jax.inspection.ledger import Row
from vae_jax.inspection.marking import LEVELS, PICTURES, Marks
from vae_jax.inspection.plan import Calibrated, Plan
from vae_jax.inspection.settings import Settings
from vae_jax.inspection.stream import Failed, Inspected
from vae_jax.software import versions


class Finding(NamedTuple):
    """What was found in one image."""

    name: str
    """Of the file, below the common folder of all."""
    is_anomalous: bool
    score: float
    """Raw: the highest value of the raw map; with tiles, of all their maps."""
    calibrated_score: float
    """From 0 to 1, alike for all detectors: its place among held-out normal images."""
    p_value: float
    """Of a score so high among those of normal images."""
    marked_share: float
    """Of the pixels, reach the pixel threshold."""
    height: int
    width: int
    tiles: int
    """Into which the image was cut; 1 if it was seen whole."""
    map: Float[np.ndarray, "rows columns"] | None
    """Raw, at the detector's size, or at the image's if that was cut; None where
    pictures are drawn of it."""


def judge(found: Inspected, known: Calibration, *, threshold: float) -> Finding:
    """What a score means, by the held-out normal images."""
    score = np.array([found.score])
    return Finding(
        found.name,
        found.score >= threshold,
        found.score,
        known.images.calibrated(score).item(),
        known.p_values(score).item(),
        found.marked_share,
        found.height,
        found.width,
        found.tiles,
        found.map,
    )


KINDS = {
    "image": str,
    "verdict": str,
    "score": float,
    "calibrated_score": float,
    "p_value": float,
    "marked_share": float,
    "height": int,
    "width": int,
    "tiles": int,
    "sha256": str,
    "error": str,
}
MEANINGS = {
    "image": "name below the folder of images; maps/NAME.png and so on belong to it. "
    "In results.csv control characters and backslashes are escapes as in Python, and "
    "./ precedes what spreadsheets would take for a formula",
    "verdict": "anomalous if the score reaches the image threshold, else normal",
    "score": "raw: the highest value of the raw map; with tiles, of all their maps",
    "calibrated_score": "from 0 to 1, alike for all detectors: the place of the score "
    "among those of held-out normal images",
    "p_value": "(1 + held-out normal images with such a score or a higher one) / "
    "(1 + all of them)",
    "marked_share": "of the pixels of the map, reach the pixel threshold",
    "tiles": "into which the image was cut; 1 if it was seen whole",
    "sha256": "of the bytes of the file, by which it is told whether it has changed",
    "error": "why there is no result",
}

RULES = (
    "promised_rate: at most this share of new normal images, or of their tiles where "
    "they are cut, is called anomalous; null: nothing is promised of them, as nothing "
    "is of pixels. held_out: what was found in the images that set the thresholds"
)

_TOLD = (
    "score",
    "calibrated_score",
    "p_value",
    "marked_share",
    "height",
    "width",
    "tiles",
)
"""Fields of a finding that are columns of the table."""


def make_row(
    found: Inspected | Failed,
    *,
    calibration: Calibration,
    image_threshold: float,
) -> Row:
    """The row of an image; of one that failed, the name and the reason."""
    row = dict.fromkeys(KINDS) | {"image": found.name}
    if isinstance(found, Failed):
        return row | {"error": found.reason}
    judged = judge(found, calibration, threshold=image_threshold)
    row["sha256"] = found.sha256
    row["verdict"] = "anomalous" if judged.is_anomalous else "normal"
    told = judged._asdict()
    return row | {name: told[name] for name in _TOLD}


def is_done(row: Row, root: Path, marks: Marks) -> bool:
    """Whether there is a result with all its pictures of what the image is now.

    An image that is no longer there keeps its result.
    """
    name = row["image"]
    return (
        row["error"] is None
        and all(marks.file(kind, name).exists() for kind in PICTURES)
        and (not os.path.exists(root / name) or _digest(root / name) == row["sha256"])
    )


def _digest(path: Path) -> str | None:
    """Of the file's bytes; None if it cannot be read, of which the reader says why.

    Another file may have its size, and its time of the last change.
    """
    try:
        encoded = folder.read_bytes("inspect", path, name=str(path))
        return hashlib.sha256(encoded).hexdigest()
    except ValueError:
        return None


def count(rows: Iterable[Row]) -> dict[str, int]:
    """How many images there are of each kind."""
    kinds = collections.Counter(row["verdict"] or "failed" for row in rows)
    return {kind: kinds[kind] for kind in ("normal", "anomalous", "failed")}


def about(
    settings: Settings, detector: Calibrated, plan: Plan, marks: Marks
) -> dict[str, Any]:
    """What a reader of results.json needs to know of its numbers."""
    known = detector.calibration
    low, high = marks.map_scale
    seen = "resized whole, as in training"
    if plan.tiles:
        side, overlap = plan.tiles
        seen = f"in tiles of {side} pixels that overlap by {overlap}"
        if plan.whole_up_to:
            seen += f", whole up to {plan.whole_up_to}"
    return {
        "rules": {
            "image_threshold": settings.image_threshold,
            "pixel_threshold": settings.pixel_threshold,
            "promised_rate": promised_rate(settings.image_threshold, known),
            "held_out_images": known.images.count,
            "held_out_images_anomalous": known.images.count_at(plan.thresholds.image),
            "held_out_pixel_rate": known.pixels.rate_at(plan.thresholds.pixel),
            "meaning": RULES,
        },
        "maps": {
            "low": low,
            "high": high,
            "raw_value": f"low + code * (high - low) / {LEVELS}; clipped at both ends",
            "seen": seen,
        },
        "columns": MEANINGS,
        "detector": {
            name: value
            for name, value in detector.metadata.items()
            if name != "calibration"
        },
        "versions": versions(),
    }
