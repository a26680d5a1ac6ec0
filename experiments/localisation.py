"""A localisation experiment from data to table: what all of them share."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from experiments.evaluation import (
    FIGURES,
    PRO_LIMIT,
    Row,
    artificial_defects,
    score_choice,
    score_defects,
    score_methods,
)
from experiments.explainer import fit_normals
from experiments.methods import DEFAULT_METHOD, METHODS, make_maps
from experiments.pictures import draw_all
from experiments.settings import Settings
from experiments.training import build_explainer, train_vae
from vae_jax import report, train
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData

MEAN = "mean"
CHOSEN_BY = ("validation_aupro", "validation_iou")
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
AUPRO@{PRO_LIMIT}: per-region overlap, integrated to that false positive rate.
overlap: share of a defect found at a threshold set on normal images.
val.: on artificial defects pasted on held-out normal images, by which methods may be
chosen. as published: Liu et al. 2020, Table 2.
All maps are raw; every pixel of every test image counts."""


class Result(NamedTuple):
    """What one category came to: rows of the table, rows by defect, the data used."""

    category: str
    rows: list[Row]
    defects: list[Row]
    data: Row


def run(settings: Settings, data: CategoryData, augmentation: Augmentation) -> Result:
    """Trains on the normal images of one category, or resumes, and evaluates."""
    explainer = build_explainer(settings, channels=data.channels)
    variables = train_vae(settings, explainer, data, augmentation)
    fitted = fit_normals(explainer, variables, np.asarray(data.train))
    map_all = functools.partial(make_maps, tuple(METHODS), explainer, fitted)
    maps, normal_maps = map_all(data.test.images), map_all(data.validation)
    images, masks = artificial_defects(data.validation, seed=settings.seed)
    choice = score_choice(map_all(images), masks)
    rows = [
        {"category": data.category, **row, **choice[row["method"]]}
        for row in score_methods(settings, data.test, maps, normal_maps)
    ]
    compared = [DEFAULT_METHOD, "paper", _best(rows, "baseline"), _best(rows, "floor")]
    defects = [
        {"category": data.category, **row}
        for row in score_defects(compared, maps, data.test)
    ]
    if train.is_primary():
        folder = epath.Path(settings.workdir) / data.category
        draw_all(folder, explainer, fitted, data, maps, normal_maps)
    about = {
        "sha256": data.sha256,
        "train_images": len(data.train),
        "validation_images": len(data.validation),
        "test_images": len(data.test.images),
        "left_out_for_want_of_a_mask": data.skipped_images,
    }
    return Result(data.category, rows, defects, about)


def publish(
    results: Sequence[Result],
    *,
    workdir: str,
    config: Mapping[str, Any],
    source: str,
    published: Mapping[str, tuple[float, float]],
) -> list[Row]:
    """Writes results.json and results.csv, prints the tables; returns all rows.

    `published` holds the pixel AUROC and best IoU that the paper reports, by category.
    """
    rows = [row for result in results for row in result.rows]
    if len(results) > 1:
        rows += _means(rows)
    defects = [row for result in results for row in result.defects]
    papers = [
        {
            "category": result.category,
            "method": "as published",
            "kind": "attention",
            "pixel_auroc": published[result.category][0],
            "best_iou": published[result.category][1],
        }
        for result in results
        if result.category in published
    ]
    if not train.is_primary():
        return rows
    folder = epath.Path(workdir)
    content = {
        "rows": rows,
        "defects": defects,
        "published": papers,
        "config": config,
        "data": {"source": source} | {r.category: r.data for r in results},
        "versions": report.versions(),
    }
    report.write_json(folder / "results.json", content)
    report.write_csv(folder / "results.csv", rows)
    print(
        f"\nData: {source}\n",
        report.format_table(defects, DEFECT_COLUMNS),
        report.format_table([*rows, *papers], COLUMNS),
        NOTES,
        verdict(rows),
        f"In {folder}: results.json, results.csv and, by category, the pictures.",
        sep="\n\n",
    )
    return rows


def verdict(rows: Sequence[Row]) -> str:
    """Says whether the default method beats the floors, and what validation prefers."""
    lines = []
    for category in dict.fromkeys(row["category"] for row in rows):
        own = [row for row in rows if row["category"] == category]
        ours = next(row for row in own if row["method"] == DEFAULT_METHOD)
        for figure in ("aupro", "best_iou"):
            floors = [row for row in own if row["kind"] == "floor"]
            floor = max(floors, key=lambda row: row[figure])
            relation = "beats" if ours[figure] > floor[figure] else "DOES NOT BEAT"
            lines.append(
                f"{category}: {DEFAULT_METHOD} {relation} every floor on "
                f"{COLUMNS[figure]}: {ours[figure]:.3f} against {floor[figure]:.3f} "
                f"({floor['method']})."
            )
        attention = [row for row in own if row["kind"] == "attention"]
        preferred = max(attention, key=lambda row: sum(row[f] for f in CHOSEN_BY))
        lines.append(f"{category}: validation prefers {preferred['method']}.")
    return "\n".join(lines)


def _best(rows: Sequence[Row], kind: str) -> str:
    own = [row for row in rows if row["kind"] == kind]
    return max(own, key=lambda row: row["aupro"])["method"]


def _means(rows: Sequence[Row]) -> list[Row]:
    """The mean over categories of every method."""
    means = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        figures = {
            name: float(np.mean([row[name] for row in own]))
            for name in (*FIGURES, "overlap", *CHOSEN_BY)
        }
        row = {"category": MEAN, "method": method, "kind": own[0]["kind"]}
        means.append(row | figures)
    return means
