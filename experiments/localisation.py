"""A localisation experiment from data to table: what all of them share."""

import difflib
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console
from rich.progress import Progress

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
from vae_jax import attention, models, report, train
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData, load_category

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
official, repro2021: at a batch of one, so that maps of all images compare.
All maps are raw; every pixel of every test image counts."""


class Result(NamedTuple):
    """What one category came to: rows of the table, rows by defect, the data used."""

    category: str
    rows: list[Row]
    defects: list[Row]
    data: Row


class Tables(NamedTuple):
    """What all categories so far came to."""

    source: str
    resolution: str
    rows: list[Row]
    defects: list[Row]
    published: list[Row]


def check(settings: Settings) -> None:
    """Raises ValueError or OSError for what would fail only after training."""
    train.check_batch_size(settings.batch_size, train.data_mesh())
    model = build_explainer(settings, channels=1).model
    variables = jax.eval_shape(
        functools.partial(models.init, model), key=jax.random.key(0)
    )
    known = attention.taps(model, variables, model.image_shape)
    maps = [name for name, shape in known.items() if len(shape) == 3]
    if settings.tap not in maps:
        near = difflib.get_close_matches(settings.tap, maps, n=1)
        hint = f" did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"--tap: there is no {settings.tap!r};{hint} Taps of this network: "
            f"{', '.join(maps)}."
        )


def say(text: str) -> None:
    """A line on stderr, of the first process alone."""
    if train.is_primary():
        print(text, file=sys.stderr, flush=True)


def load(
    settings: Settings, data_dir: str | Path, name: str, **options: Any
) -> CategoryData:
    """`load_category` with a bar; `options` are its other arguments."""
    console = Console(stderr=True)
    hidden = not (train.is_primary() and console.is_terminal)
    with Progress(console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(f"{name}: reading images")
        data = load_category(
            data_dir,
            name,
            size=settings.image_size,
            seed=settings.seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            **options,
        )
    if data.skipped_images:
        say(f"{name}: {data.skipped_images} test images left out, for want of a mask")
    return data


def run(settings: Settings, data: CategoryData, augmentation: Augmentation) -> Result:
    """Trains on the normal images of one category, or resumes, and evaluates."""
    explainer = build_explainer(settings, channels=data.channels)
    variables = train_vae(settings, explainer, data, augmentation)
    say(f"{data.category}: making the maps of {len(METHODS)} methods")
    fitted = fit_normals(explainer, variables, data.train)
    map_all = functools.partial(make_maps, tuple(METHODS), explainer, fitted)
    maps, normal_maps = map_all(data.test.images), map_all(data.validation)
    images, masks = artificial_defects(data.validation, seed=settings.seed)
    choice = score_choice(map_all(images), masks)
    say(f"{data.category}: scoring them at {settings.resolution} resolution")
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
        folder = settings.folder / data.category
        draw_all(folder, explainer, fitted, data, maps, normal_maps)
    about = {
        "sha256": data.sha256,
        "train_images": len(data.train),
        "validation_images": len(data.validation),
        "test_images": len(data.test.images),
        "left_out_for_want_of_a_mask": data.skipped_images,
    }
    return Result(data.category, rows, defects, about)


def write_results(
    results: Sequence[Result],
    *,
    folder: Path,
    config: Mapping[str, Any],
    source: str,
    published: Mapping[str, tuple[float, float]],
) -> Tables:
    """Writes results.json and results.csv of the categories so far.

    `published` holds the pixel AUROC and best IoU that the paper reports, by category.
    """
    rows = [row for result in results for row in result.rows]
    papers = [_published(r.category, published) for r in results]
    papers = [row for row in papers if row is not None]
    if len(results) > 1:
        rows += _means(rows)
    defects = [row for result in results for row in result.defects]
    tables = Tables(source, config["settings"]["resolution"], rows, defects, papers)
    if train.is_primary():
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
    return tables


def print_results(tables: Tables, *, folder: Path) -> None:
    """Prints the tables and what they say, from the first process alone."""
    if not train.is_primary():
        return
    print(
        f"\nData: {tables.source}",
        "By kind of defect, at the model's resolution:",
        report.format_table(tables.defects, DEFECT_COLUMNS),
        f"All test images, at {tables.resolution} resolution:",
        report.format_table([*tables.rows, *tables.published], COLUMNS),
        NOTES,
        verdict(tables.rows),
        f"In {folder}: results.json, results.csv and, by category, the pictures.",
        sep="\n\n",
    )


def _published(
    category: str, published: Mapping[str, tuple[float, float]]
) -> Row | None:
    if category not in published:
        return None
    auroc, iou = published[category]
    name = {"category": category, "method": "as published", "kind": "attention"}
    return name | {"pixel_auroc": auroc, "best_iou": iou}


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
