"""Figures of explanations and results, drawn from arrays; only here is matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax.anomaly import ColourLimits

_INK = "#222222"
_TRUTH = "#00e5ff"
_COLOURS = "magma"
_LINE_STYLES = {"attention": "-", "baseline": "--", "floor": ":"}


class Example(NamedTuple):
    """One image of a panel, with what is true and what the map says of it."""

    title: str
    image: Float[np.ndarray, "rows columns channel"]
    mask: Bool[np.ndarray, "rows columns"]
    map: Float[np.ndarray, "rows columns"]


class Curve(NamedTuple):
    """One method's line in a figure of curves."""

    method: str
    kind: str
    false_positive_rate: Float[np.ndarray, " points"]
    value: Float[np.ndarray, " points"]


class Comparison(NamedTuple):
    """One image with what is true and what each of several methods says of it."""

    title: str
    image: Float[np.ndarray, "rows columns channel"]
    mask: Bool[np.ndarray, "rows columns"]
    maps: Mapping[str, Float[np.ndarray, "rows columns"]]


def save_panel(
    path: Path, examples: Sequence[Example], *, limits: ColourLimits, title: str
) -> None:
    """Draws image, truth, map and overlay, a column an example (Liu et al., Figure 6).

    One colour scale serves all maps, so that the map of a normal image stays dark.
    Where no mask has a pixel there is no row of truth.
    """
    truth = ["truth"] if any(example.mask.any() for example in examples) else []
    rows = ["image", *truth, "attention", "overlay"]
    figure, axes = _grid(len(rows), len(examples), title=title)
    for column, example in zip(axes.T, examples, strict=True):
        column[0].set_title(example.title, fontsize=8, color=_INK)
        _show_image(column[0], example.image)
        if truth:
            column[1].imshow(example.mask, cmap="gray", vmin=0, vmax=1)
        drawn = column[-2].imshow(
            example.map, cmap=_COLOURS, vmin=limits[0], vmax=limits[1]
        )
        _show_overlay(column[-1], example, limits)
    for axis, label in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(label, fontsize=9, color=_INK)
    figure.colorbar(drawn, ax=axes[-2:], shrink=0.8, aspect=30)
    _save(figure, path)


def save_comparison(
    path: Path,
    examples: Sequence[Comparison],
    *,
    limits: Mapping[str, ColourLimits],
    title: str,
    width_over_height: float = 1.0,
) -> None:
    """Draws image, truth and the map of each method, a column an example.

    As Figure 5 of Liu et al. does. One colour scale serves all maps of a method.
    Images that were made square are drawn with the proportions that they had. Where no
    mask has a pixel there is no row of truth.
    """
    truth = ["truth"] if any(example.mask.any() for example in examples) else []
    rows = ["image", *truth, *limits]
    figure, axes = _grid(
        len(rows), len(examples), title=title, width_over_height=width_over_height
    )
    for column, example in zip(axes.T, examples, strict=True):
        column[0].set_title(example.title, fontsize=8, color=_INK)
        _show_image(column[0], example.image)
        if truth:
            column[1].imshow(example.mask, cmap="gray", vmin=0, vmax=1)
        for axis, (name, (low, high)) in zip(
            column[-len(limits) :], limits.items(), strict=True
        ):
            # Clipped: far outside a narrow scale, matplotlib overflows.
            values = np.clip(example.maps[name], low, high)
            axis.imshow(values, cmap=_COLOURS, vmin=low, vmax=high)
            if example.mask.any():
                _outline(axis, example.mask)
        for axis in column:
            axis.set_aspect(1 / width_over_height)
    for axis, label in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(label.replace("@", "\n@"), fontsize=8, color=_INK)
    _save(figure, path)


def common_limits(
    maps: Float[np.ndarray, "image rows columns"], *, quantile: float = 0.998
) -> ColourLimits:
    """One colour scale for a few maps that are shown together.

    For maps that normal images leave at zero, where `anomaly.colour_limits` has no
    scale to offer.
    """
    low, high = float(maps.min()), float(np.quantile(maps, quantile))
    return ColourLimits(low, high if high > low else low + 1.0)


def save_latent_maps(
    path: Path,
    image: Float[np.ndarray, "rows columns channel"],
    maps: Float[np.ndarray, "latent rows columns"],
    kl: Float[np.ndarray, " latent"],
    *,
    title: str,
) -> None:
    """Draws the map of each latent beside its image, ranked by its KL in nats."""
    columns = 8
    order = np.argsort(-kl)[: 4 * columns - 1]
    figure, axes = _grid(-(-(len(order) + 1) // columns), columns, title=title)
    cells = axes.ravel()
    _show_image(cells[0], image)
    cells[0].set_title("image", fontsize=8, color=_INK)
    brightest = float(maps[order].max()) or 1.0
    for cell, latent in zip(cells[1:], order, strict=False):
        cell.imshow(maps[latent], cmap=_COLOURS, vmin=0, vmax=brightest)
        cell.set_title(f"z{latent}: {kl[latent]:.1f} nats", fontsize=8, color=_INK)
    for cell in cells[len(order) + 1 :]:
        cell.set_visible(False)
    _save(figure, path)


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
    _save(figure, path)


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
    _save(figure, path)


def save_matrix(
    path: Path,
    values: Float[np.ndarray, "row column"],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> None:
    """Draws numbers in [0, 1], such as AUROCs, as colours with 0.5 in the middle.

    Each number is written out; NaN is left blank.
    """
    figure = Figure(
        figsize=(0.55 * len(columns) + 1.6, 0.45 * len(rows) + 1.2),
        layout="constrained",
    )
    axis = figure.subplots()
    axis.imshow(values, cmap="RdBu", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = _INK if 0.2 < value < 0.8 else "white"
            text = f"{value:.2f}".removeprefix("0")
            axis.text(
                column, row, text, ha="center", va="center", fontsize=8, color=colour
            )
    axis.set_xticks(range(len(columns)), columns, fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.tick_params(length=0)
    figure.suptitle(title, fontsize=10, color=_INK)
    _save(figure, path)


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
    figure.suptitle(title, fontsize=11, color=_INK)
    _save(figure, path)


def _grid(
    rows: int, columns: int, *, title: str, width_over_height: float = 1.0
) -> tuple[Figure, np.ndarray]:
    size = (1.5 * width_over_height * columns + 1, 1.5 * rows + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(title, fontsize=11, color=_INK)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[])
    return figure, axes


def _show_image(axis: Axes, image: np.ndarray) -> None:
    """Gray images have one channel, which imshow does not take."""
    axis.imshow(np.repeat(image, 3 // image.shape[-1], axis=-1), vmin=0, vmax=1)


def _show_overlay(axis: Axes, example: Example, limits: ColourLimits) -> None:
    _show_image(axis, example.image)
    strength = np.clip((example.map - limits.low) / (limits.high - limits.low), 0, 1)
    axis.imshow(strength, cmap=_COLOURS, vmin=0, vmax=1, alpha=0.85 * strength**0.5)
    if example.mask.any():
        _outline(axis, example.mask)


def _outline(axis: Axes, mask: np.ndarray) -> None:
    axis.contour(mask, levels=[0.5], colors=_TRUTH, linewidths=0.7)


def _save(figure: Figure, path: Path) -> None:
    with path.open("wb") as file:
        figure.savefig(file, dpi=130, format="png")
