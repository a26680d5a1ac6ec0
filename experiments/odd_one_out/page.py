"""The page of odd classes: a table of scores, pictures, and what they come to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.odd_one_out.scores import KINDS
from vae_jax import plots
from vae_jax.report.html import Table

TITLE = "AUROC of images of the class left out against normal ones"
NOTES = (
    "reconstruction: -log p(x | z) at the posterior mean, in nats, as the lesson's "
    "detector scores. negative-elbo and kl: of the same posterior.",
    "above-entropy: reconstruction less the entropy of the gray values, the least that "
    "it can be.",
    "less-length: reconstruction less the length of the compressed image in nats "
    "(Serrà et al. 2020), though of gray values it is no negative log-probability.",
    "off-length-trend, off-ink-trend, off-both-trends: how many standard deviations "
    "reconstruction lies above the line, or plane, that held-out normal images follow "
    "by their length, ink or both. per-length: reconstruction over length.",
    "typicality: distance of the negative ELBO from its mean over normal images "
    "(Nalisnick et al. 2019). regret: what a posterior of the image's own gains over "
    "the encoder's (Xiao et al. 2020).",
    "length, ink, pca-error and nearest-neighbour need no network. Below 0.5 an odd "
    "image passes for more normal than normal ones.",
    "Which corrected score is best is known from this table alone, so that its figure "
    "flatters.",
)


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows of `scores.over_seeds`."""
    classes = [key for key in rows[0] if key.isdigit()]
    columns = {"score": "score", "kind": "kind", "mean": "mean"}
    if "mean_std" in rows[0]:
        columns["mean_std"] = "sd over seeds"
    columns |= {"worst": "worst"} | {key: f"without {key}" for key in classes}
    return Table(TITLE, rows, columns, highest=("mean", "worst", *classes), groups=())


def alarm_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Shares of images above a threshold, by what it was set on."""
    return Table(
        "Images above the 95th percentile of reconstruction",
        rows,
        {"set_on": "percentile of", "normal": "normal flagged", "odd": "odd flagged"},
        groups=(),
        note="Means over runs; a threshold promises that 5 % of normal images pass it.",
    )


def verdicts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What plain reconstruction misses, and what a correction makes of it."""
    by_score = {row["score"]: row for row in rows}
    plain = by_score["reconstruction"]
    missed = min(filter(str.isdigit, plain), key=lambda key: plain[key])
    corrected = [row for row in rows if row["kind"] == "corrected"]
    best = max(corrected, key=lambda row: row["mean"])
    safest = max(corrected, key=lambda row: row["worst"])
    floor = max((row for row in rows if row["kind"] == "floor"), key=_mean)
    return [
        f"Plain reconstruction: mean AUROC {plain['mean']:.3f}, worst {missed} with "
        f"{plain[missed]:.3f}, where ink alone gives {by_score['ink'][missed]:.3f}.",
        f"Of the corrected scores {best['score']} has the best mean, "
        f"{best['mean']:.3f}, and finds {missed} with {best[missed]:.3f}; "
        f"{safest['score']} has the best worst class, {safest['worst']:.3f}.",
        f"Without a network {floor['score']} reaches {floor['mean']:.3f}.",
    ]


def _mean(row: Mapping[str, Any]) -> float:
    return row["mean"]


def draw_matrix(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The table as colours."""
    classes = [key for key in rows[0] if key.isdigit()]
    columns = ["mean", "worst", *classes]
    values = np.array([[row[key] for key in columns] for row in rows])
    plots.save_matrix(path, values, rows=[*KINDS], columns=columns, title=TITLE)


def draw_strangers(
    path: Path,
    images: Float[np.ndarray, "class height width channel"],
    reconstructions: Float[np.ndarray, "class height width channel"],
    *,
    classes: Sequence[int],
) -> None:
    """An image of each class, and what a network makes of it that has not seen it."""
    plots.save_image_grid(
        path,
        np.stack([images, reconstructions]),
        rows=["image", "drawn"],
        columns=[*map(str, classes)],
        title="Drawn by a network that has not seen this class",
    )
