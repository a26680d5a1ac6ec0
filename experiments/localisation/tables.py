"""What runs came to: tables over seeds and categories, beside published figures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.localisation.score import CHOSEN_BY, FIGURES, Row
from vae_jax import report
from vae_jax.detection.methods import DEFAULT_METHOD
from vae_jax.metrics import PRO_LIMIT
from vae_jax.report import html

MEAN = "mean"
AVERAGED = (*FIGURES, "overlap", *CHOSEN_BY)
COLUMNS = {
    "category": "category",
    "method": "method",
    "kind": "kind",
    "pixel_auroc": "pixel AUROC",
    "aupro": f"AUPRO@{PRO_LIMIT}",
    "best_iou": "best IoU",
    "average_precision": "pixel AP",
    "image_auroc": "image AUROC",
    "overlap": "overlap",
    "validation_aupro": "val. AUPRO",
    "validation_iou": "val. IoU",
}
DEFECT_COLUMNS = {
    "category": "category",
    "defect": "defect",
    "method": "method",
    "aupro": COLUMNS["aupro"],
    "best_iou": COLUMNS["best_iou"],
}
NOTES = f"""\
AUPRO@{PRO_LIMIT}: per-region overlap, integrated to that false positive rate;
straight through ties of defect and normal pixels, as in MVTec AD's evaluation, which
gives constant maps {PRO_LIMIT / 2}; MVTec 3D-AD's gives them 0 (metrics.aupro, ties).
overlap: share of a defect found at a threshold set on normal images.
val.: on artificial defects pasted on held-out normal images; not of baselines with a
network of their own, which see images of another size.
chosen: of some of our maps, the one with the best val. AUPRO + IoU in its category.
official, repro2021: at a batch of one, so that maps of all images compare; the authors'
code cannot run on one image, whose axis it squeezes away.
All maps are raw; every pixel of every test image counts."""

Published = Callable[[str], Sequence[Row]]
"""From a category to the rows that a paper prints for it."""


class Result(NamedTuple):
    """What one run on one category came to."""

    category: str
    seed: int
    rows: list[Row]
    defects: list[Row]
    about: Row
    """Of the data: hash and counts."""
    detector: Row | None = None
    """Of the file that inspects other images, see `deployment.deploy`."""
    section: html.Section | None = None
    """Of the report."""


class Tables(NamedTuple):
    """What all runs so far came to."""

    rows: list[Row]
    """One a category and method, and the means over categories; over seeds."""
    runs: list[Row]
    """One a run and method."""
    defects: list[Row]
    published: list[Row]


def summarise(results: Sequence[Result], *, published: Published) -> Tables:
    """The tables of some runs."""
    runs = [{"seed": r.seed, **row} for r in results for row in r.rows]
    defects = [{"seed": r.seed, **row} for r in results for row in r.defects]
    rows = over_seeds(runs, by=("category", "method", "kind"))
    textures = {r.category for r in results if r.about["is_texture"]}
    papers = [
        row for category in _unique(rows, "category") for row in published(category)
    ]
    return Tables(
        rows + _means(rows, textures),
        runs,
        over_seeds(defects, by=("category", "defect", "method")),
        papers + _means(papers, textures),
    )


def over_seeds(runs: Sequence[Row], *, by: Sequence[str]) -> list[Row]:
    """The mean over runs of every figure, and with several its deviation.

    "<figure>_std" is the standard deviation of a run, with n - 1 in the divisor.
    """
    groups: dict[tuple, list[Row]] = {}
    for row in runs:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    rows = []
    for key, group in groups.items():
        row = dict(zip(by, key, strict=True)) | _mean_of(group)
        if len(group) > 1:
            row["seeds"] = len(group)
            for name in _figures_of(group):
                row[f"{name}_std"] = float(np.std([r[name] for r in group], ddof=1))
        rows.append(row)
    return rows


def show(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """A table in which a figure of several seeds is mean ± deviation."""
    return report.format_table([spread(row, columns) for row in rows], columns)


def spread(row: Row, columns: Iterable[str]) -> dict[str, Any]:
    """The columns of a row; a figure of several seeds as mean ± deviation."""
    shown = {name: row.get(name) for name in columns}
    for name in columns:
        if f"{name}_std" in row:
            shown[name] = f"{row[name]:.3f} ± {row[f'{name}_std']:.3f}"
    return shown


def verdict(rows: Sequence[Row]) -> str:
    """Says whether the default method beats the floors, and what validation prefers."""
    lines = []
    for category in _unique(rows, "category"):
        own = [row for row in rows if row["category"] == category]
        ours = next(row for row in own if row["method"] == DEFAULT_METHOD)
        for figure in ("aupro", "best_iou"):
            floors = [r for r in own if r["kind"] == "floor" and r[figure] is not None]
            if not floors:
                continue
            floor = max(floors, key=lambda row: row[figure])
            relation = "beats" if ours[figure] > floor[figure] else "DOES NOT BEAT"
            lines.append(
                f"{category}: {DEFAULT_METHOD} {relation} every floor on "
                f"{COLUMNS[figure]}: {ours[figure]:.3f} against {floor[figure]:.3f} "
                f"({floor['method']})."
            )
        attention = [
            row
            for row in own
            if row["kind"] == "attention" and row["method"] != DEFAULT_METHOD
        ] or [ours]
        preferred = max(attention, key=lambda row: sum(row[f] for f in CHOSEN_BY))
        lines.append(f"{category}: validation prefers {preferred['method']}.")
    return "\n".join(lines)


def _means(rows: Sequence[Row], textures: set[str]) -> list[Row]:
    """The mean over categories of every method; of textures and objects apart, too."""
    categories = set(_unique(rows, "category"))
    objects = categories - textures
    groups = {MEAN: categories}
    if textures and objects:
        groups = {
            "mean of textures": categories & textures,
            "mean of objects": objects,
            MEAN: categories,
        }
    means = []
    for label, members in groups.items():
        if len(categories) < 2:
            continue
        for method in _unique(rows, "method"):
            own = [
                row
                for row in rows
                if row["method"] == method and row["category"] in members
            ]
            row = {"category": label, "method": method, "kind": own[0]["kind"]}
            means.append(row | _mean_of(own))
    return means


def _mean_of(rows: Sequence[Row]) -> Row:
    """Of each figure; None where it is not there in every row."""
    known = set(_figures_of(rows))
    present = [name for name in AVERAGED if any(name in row for row in rows)]
    return {
        name: float(np.mean([row[name] for row in rows])) if name in known else None
        for name in present
    }


def _figures_of(rows: Sequence[Row]) -> list[str]:
    return [name for name in AVERAGED if all(row.get(name) is not None for row in rows)]


def _unique(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))
