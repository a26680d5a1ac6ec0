"""One digit against each other one: the AUROC of every pair, in tables and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from experiments.localisation import tables
from experiments.localisation.fit import Fit
from experiments.localisation.tables import Row, Tables
from experiments.one_class.scores import KINDS, MAPS, Scores
from vae_jax import anomaly, metrics, plots, report, train
from vae_jax.data.category import CategoryData
from vae_jax.data.images import to_float
from vae_jax.detection.batches import HostImages
from vae_jax.detection.methods import DEFAULT_METHOD, make_maps
from vae_jax.software import versions

Labels = Int[np.ndarray, " image"]

PANELS = {DEFAULT_METHOD: "others.png", "paper": "others_paper.png"}
STROKE_COLUMNS = {k: v for k, v in tables.COLUMNS.items() if k != "category"}
KIND_COLUMNS = {k: v for k, v in tables.DEFECT_COLUMNS.items() if k != "category"}
NOTES = """\
Columns are the digit that is not normal: mean AUROC over the networks of the others.
Below 0.5 it passes for more normal than the normal digit itself: a reconstruction error
grows with the ink that there is to draw. ink and little-ink are one score and its
negative: nothing was chosen by these figures."""


class Shown(NamedTuple):
    """Images of all digits."""

    images: HostImages
    labels: Labels


def spread(images: HostImages, labels: Labels, count: int | None) -> Shown:
    """At most `count` images of each digit, evenly spread over those that there are.

    Not the first ones: in MNIST the first half of the test images is the easier one.
    """
    if count is None:
        return Shown(images, labels)
    chosen = []
    for digit in np.unique(labels):
        own = np.flatnonzero(labels == digit)
        places = np.linspace(0, len(own) - 1, min(count, len(own)))
        chosen.append(own[np.rint(places).astype(int)])
    indices = np.sort(np.concatenate(chosen))
    return Shown(images[indices], labels[indices])


def pair_rows(
    scores: Mapping[str, Scores], labels: Labels, *, normal: int, seed: int
) -> list[Row]:
    """One row for each other class: the AUROC of each score against the normal one."""
    rows = []
    for abnormal in np.unique(labels[labels != normal]).tolist():
        chosen = np.isin(labels, (normal, abnormal))
        truth = labels[chosen] == abnormal
        aurocs = {
            name: metrics.image_auroc(values[chosen], truth)
            for name, values in scores.items()
        }
        row = {"seed": seed, "normal": normal, "abnormal": abnormal}
        rows.append(row | aurocs)
    return rows


def matrix(
    rows: Sequence[Row], score: str
) -> tuple[list[int], list[int], Float[np.ndarray, "normal abnormal"]]:
    """Normal classes, abnormal classes, and the AUROC of each pair, over all seeds.

    NaN where a class would meet itself.
    """
    normal = sorted({row["normal"] for row in rows})
    abnormal = sorted({row["abnormal"] for row in rows})
    values = np.full((len(normal), len(abnormal)), np.nan)
    for i, j in np.ndindex(values.shape):
        pair = [
            row[score]
            for row in rows
            if (row["normal"], row["abnormal"]) == (normal[i], abnormal[j])
        ]
        if pair:
            values[i, j] = np.mean(pair)
    return normal, abnormal, values


def summary(rows: Sequence[Row]) -> list[Row]:
    """One row a score: its mean over all pairs, and over the pairs of each other class.

    The column of an abnormal class is named after it. With several seeds "mean_std" is
    the standard deviation of a seed's mean, with n - 1 in the divisor.
    """
    found = []
    seeds: dict[int, list[Row]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append(row)
    for name, kind in KINDS.items():
        _, abnormal, values = matrix(rows, name)
        columns = zip(map(str, abnormal), np.nanmean(values, axis=0), strict=True)
        row = {"score": name, "kind": kind, "mean": float(np.nanmean(values))}
        if len(seeds) > 1:
            means = [np.nanmean(matrix(own, name)[2]) for own in seeds.values()]
            row["mean_std"] = float(np.std(means, ddof=1))
        found.append(row | {label: float(mean) for label, mean in columns})
    return found


def verdict(found: Sequence[Row]) -> str:
    """Says, of a `summary`, what the floors are worth and what the error misses."""
    by_score = {row["score"]: row for row in found}
    floor = max((r for r in found if r["kind"] == "floor"), key=lambda r: r["mean"])
    ours = max((r for r in found if r["kind"] != "floor"), key=lambda r: r["mean"])
    relation = "beats" if ours["mean"] > floor["mean"] else "DOES NOT BEAT"
    error, ink = by_score["reconstruction"], by_score["ink"]
    missed = min(filter(str.isdigit, error), key=lambda digit: error[digit])
    return (
        f"The best score of a network, {ours['score']}, {relation} every floor: "
        f"{ours['mean']:.3f} against {floor['mean']:.3f} ({floor['score']}).\n"
        f"Reconstruction error finds a {missed} worst: {error[missed]:.3f}, where ink "
        f"alone gives {ink[missed]:.3f}."
    )


def by_kind_of_stroke(strokes: Tables) -> list[Row]:
    """The mean and the deviation over the normal digits.

    What is called the best baseline or floor is the one with the best AUPRO of a digit.
    """
    kinds = {row["method"]: row["kind"] for row in strokes.rows}
    named = [
        row
        if row["method"] in MAPS
        else row | {"method": f"best {kinds[row['method']]}"}
        for row in strokes.defects
    ]
    return tables.over_seeds(named, by=("defect", "method"))


def write(
    rows: Sequence[Row], *, folder: Path, config: Mapping[str, Any], source: str
) -> None:
    """Writes pairs.csv, a line a pair, and pairs.json, with the means."""
    if train.is_primary():
        report.write_csv(folder / "pairs.csv", rows)
        content = {
            "summary": summary(rows),
            "pairs": list(rows),
            "config": config,
            "data": {"source": source},
            "versions": versions(),
        }
        report.write_json(folder / "pairs.json", content)


def draw_matrices(rows: Sequence[Row], *, folder: Path) -> None:
    """A picture a score: the AUROC of every pair, and the means."""
    if not train.is_primary():
        return
    (folder / "pairs").mkdir(exist_ok=True)
    for name in KINDS:
        normal, abnormal, values = matrix(rows, name)
        plots.save_matrix(
            folder / "pairs" / f"{name}.png",
            _with_means(values),
            rows=[*(f"normal {digit}" for digit in normal), "mean"],
            columns=[*map(str, abnormal), "mean"],
            title=f"{name}: AUROC of each digit against the normal one",
        )


def draw_others(
    folder: Path, network: Fit, data: CategoryData, digit: int, shown: Shown
) -> None:
    """Two images of the normal digit and one of each other, with maps (Figure 4).

    They are the first ones, and one colour scale serves all: normal maps stay dark.
    """
    if not train.is_primary():
        return
    first = {each: np.flatnonzero(shown.labels == each) for each in set(shown.labels)}
    others = [int(first[each][0]) for each in sorted(first) if each != digit]
    indices = [*first[digit][:2].tolist(), *others]
    images = shown.images[indices]
    maps = make_maps(tuple(PANELS), *network, images)
    normal = make_maps(tuple(PANELS), *network, data.validation)
    titles = ["normal" if shown.labels[i] == digit else "" for i in indices]
    for name, file in PANELS.items():
        examples = [
            plots.Example(title, to_float(image), np.zeros(map_.shape, np.bool_), map_)
            for title, image, map_ in zip(titles, images, maps[name], strict=True)
        ]
        plots.save_panel(
            folder / file,
            examples,
            limits=anomaly.colour_limits(normal[name]),
            title=f"trained on {digit}: {name}",
        )


def print_results(
    strokes: Tables, rows: Sequence[Row], *, folder: Path, source: str
) -> None:
    """Prints the means over digits, from the first process alone."""
    if not train.is_primary():
        return
    means = [row for row in strokes.rows if row["category"] == tables.MEAN]
    found = summary(rows)
    abnormal = sorted({str(row["abnormal"]) for row in rows})
    headings = {name: name for name in ("score", "kind", "mean", *abnormal)}
    print(
        f"\nData: {source}",
        "Strokes pasted on the normal digit and erased from it, by kind:",
        tables.show(by_kind_of_stroke(strokes), KIND_COLUMNS),
        "All of them, mean over the normal digits:",
        tables.show(means or strokes.rows, STROKE_COLUMNS),
        tables.NOTES,
        f"Image AUROC of {len({(r['normal'], r['abnormal']) for r in rows})} pairs of "
        "a normal and another digit:",
        tables.show(found, headings),
        NOTES,
        verdict(found),
        f"In {folder}: report.html to look at, results.json and results.csv of the "
        "strokes, pairs.json and pairs.csv, pairs/ with a picture a score and, by "
        "digit, the maps of the others, pictures and detector.zip.",
        sep="\n\n",
    )


def _with_means(
    values: Float[np.ndarray, "normal abnormal"],
) -> Float[np.ndarray, "rows columns"]:
    """With a last column and row of means over the pairs that there are."""
    wide = np.column_stack([values, np.nanmean(values, axis=1)])
    last = [*np.nanmean(values, axis=0), np.nanmean(values)]
    return np.vstack([wide, last])
