"""Lines: rates over thresholds, figures over training, scores over pixels."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vae_jax.plots.drawing import INK, save, style_each

_LINE_STYLES = {"attention": "-", "baseline": "--", "floor": ":"}


class Curve(NamedTuple):
    """One method's line in a figure of curves."""

    method: str
    kind: str
    false_positive_rate: Float[np.ndarray, " points"]
    value: Float[np.ndarray, " points"]


def save_curves(
    path: Path, *, roc: Sequence[Curve], pro: Sequence[Curve], pro_limit: float
) -> None:
    """Draws pixel ROC curves, and PRO curves up to the limit of their integral."""
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axis, curves, ylabel in (
        (left, roc, "true positive rate"),
        (right, pro, "mean per-region overlap"),
    ):
        for curve in curves:
            axis.plot(
                curve.false_positive_rate,
                curve.value,
                _LINE_STYLES[curve.kind],
                label=f"{curve.method} ({curve.kind})",
            )
        axis.set(xlabel="false positive rate, all pixels", ylabel=ylabel, ylim=(0, 1))
        axis.grid(alpha=0.3)
    left.set(title="ROC", xlim=(0, 1))
    right.set(title=f"PRO up to {pro_limit:g}", xlim=(0, pro_limit))
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    save(figure, path)


def save_training_curves(
    path: Path, records: Sequence[Mapping[str, Any]], *, figures: Sequence[str]
) -> None:
    """Draws some figures of `metrics.jsonl` over the steps, a panel a figure."""
    figure = Figure(figsize=(4 * len(figures), 3.2), layout="constrained")
    panels = figure.subplots(1, len(figures), squeeze=False)[0]
    for axis, name in zip(panels, figures, strict=True):
        for kind, style in (("train", "-"), ("evaluation", "o--")):
            points = [(r["step"], r[name]) for r in records if r["kind"] == kind]
            if points:
                axis.plot(*zip(*points, strict=True), style, label=kind, markersize=3)
        axis.set(title=name.replace("_", " "), xlabel="step")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    save(figure, path)


def save_sanity(
    path: Path,
    *,
    layers: Sequence[str],
    correlation: Mapping[str, Float[np.ndarray, " layer"]],
    share: Float[np.ndarray, " point"],
    deletion: Mapping[str, Float[np.ndarray, " point"]],
    insertion: Mapping[str, Float[np.ndarray, " point"]],
    title: str,
) -> None:
    """Draws a line a method: maps as layers are forgotten, scores as pixels go over.

    `layers` are in the order in which they are forgotten.
    """
    figure = Figure(figsize=(16, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    places = np.arange(len(layers) + 1)
    for values in correlation.values():
        left.plot(places, [1.0, *values])
    left.set_xticks(places, ["trained", *layers], rotation=90, fontsize=7)
    left.set(title="layers forgotten", ylabel="rank correlation with the map")
    for axis, curves, label in (
        (middle, deletion, "pixels drawn as normal"),
        (right, insertion, "pixels of the image put back"),
    ):
        for method, values in curves.items():
            axis.plot(share, values, ":" if method == "random" else "-", label=method)
        axis.set(title=label, xlabel="share of the pixels", ylabel="negative ELBO")
    right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    figure.suptitle(title, fontsize=11, color=INK)
    save(figure, path)


def save_metric_curves(
    path: Path,
    steps: Int[np.ndarray, " point"],
    metrics: Mapping[str, Mapping[str, Float[np.ndarray, "seed point"]]],
    *,
    title: str,
) -> None:
    """Draws a panel a metric and a line an objective: the mean over seeds.

    The band reaches from the lowest to the highest seed; NaN is left out. An objective
    has one colour and kind of line in all panels.

    Args:
        path: of the PNG.
        steps: of training, at which the metrics were taken.
        metrics: of each metric, of each objective, its values.
        title: above all panels.
    """
    objectives = list(dict.fromkeys(name for each in metrics.values() for name in each))
    styles = style_each(objectives)
    columns = math.ceil(math.sqrt(len(metrics)))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(4 * columns + 1.5, 3 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (metric, of_objectives) in zip(panels, metrics.items(), strict=False):
        for name, values in of_objectives.items():
            seen = np.ma.masked_invalid(values)
            colour, _, line = styles[name]
            axis.fill_between(
                steps, seen.min(0), seen.max(0), color=colour, alpha=0.18, linewidth=0
            )
            axis.plot(steps, seen.mean(0), line, color=colour, label=name)
        axis.set(title=metric, xlabel="step")
        axis.ticklabel_format(axis="x", scilimits=(-3, 5))
        axis.grid(alpha=0.3)
    for axis in panels[len(metrics) :]:
        axis.set_visible(False)
    lines = [
        Line2D([], [], color=style.colour, linestyle=style.line, label=name)
        for name, style in styles.items()
    ]
    figure.legend(handles=lines, loc="outside right upper", fontsize=9)
    figure.suptitle(title, fontsize=11, color=INK)
    save(figure, path)
