"""One localisation experiment from data to table; what all of them share."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from experiments.evaluation import FIGURES, PRO_LIMIT, Row, score_defects, score_methods
from experiments.explainer import fit_normals
from experiments.methods import DEFAULT_METHOD, METHODS, make_maps
from experiments.pictures import draw_all
from experiments.settings import Settings
from experiments.training import build_explainer, train_vae
from vae_jax import report, train
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData

MEAN = "mean"
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
}


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
    maps = make_maps(tuple(METHODS), explainer, fitted, data.test.images)
    normal_maps = make_maps(tuple(METHODS), explainer, fitted, data.validation)
    rows = score_methods(settings, data.test, maps, normal_maps)
    compared = [DEFAULT_METHOD, "paper", _best(rows, "baseline"), _best(rows, "floor")]
    defects = score_defects(compared, maps, data.test)
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
    name = {"category": data.category}
    return Result(
        data.category,
        [name | row for row in rows],
        [name | row for row in defects],
        about,
    )


def publish(
    results: Sequence[Result],
    *,
    workdir: str,
    config: Mapping[str, Any],
    source: str,
    published: Mapping[str, tuple[float, float]],
) -> list[Row]:
    """Writes results.json and results.csv, prints the table; returns all rows.

    `published` holds the pixel AUROC and best IoU that the paper reports, by category.
    """
    rows = [row for result in results for row in result.rows]
    if len(results) > 1:
        rows += _means(rows)
    papers = [
        {"category": result.category, "method": "as published", "kind": "attention"}
        | dict(
            zip(("pixel_auroc", "best_iou"), published[result.category], strict=True)
        )
        for result in results
        if result.category in published
    ]
    if train.is_primary():
        folder = epath.Path(workdir)
        content = {
            "rows": rows,
            "defects": [row for result in results for row in result.defects],
            "published": papers,
            "config": config,
            "data": {"source": source} | {r.category: r.data for r in results},
            "versions": report.versions(),
        }
        report.write_json(folder / "results.json", content)
        report.write_csv(folder / "results.csv", rows)
        print(f"\nData: {source}. Written to {folder}: results.json, results.csv, and")
        print("pictures of each category.\n")
        print(report.format_table([*rows, *papers], COLUMNS), end="\n\n")
        print(verdict(rows))
    return rows


def verdict(rows: Sequence[Row]) -> str:
    """Says, where it is so, that the default method does not beat every floor."""
    lines = []
    for category in dict.fromkeys(row["category"] for row in rows):
        own = [row for row in rows if row["category"] == category]
        ours = next(row for row in own if row["method"] == DEFAULT_METHOD)
        for figure in ("aupro", "best_iou"):
            floor = max(
                (r for r in own if r["kind"] == "floor"), key=lambda r: r[figure]
            )
            relation = "beats" if ours[figure] > floor[figure] else "DOES NOT BEAT"
            lines.append(
                f"{category}: {DEFAULT_METHOD} {relation} every floor on "
                f"{COLUMNS[figure]}: {ours[figure]:.3f} against {floor[figure]:.3f} "
                f"({floor['method']})."
            )
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
            for name in (*FIGURES, "overlap")
        }
        means.append(
            {"category": MEAN, "method": method, "kind": own[0]["kind"], **figures}
        )
    return means
