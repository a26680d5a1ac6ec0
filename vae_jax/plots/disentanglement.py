"""Results over seeds, and the maps of two latents side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from vae_jax.plots.drawing import (
    INK,
    MARKERS,
    colour_each,
    grid,
    save,
    show_image,
    show_overlay,
)

_COVERAGE = 0.95


class Setting(NamedTuple):
    """An objective at one value of its hyper-parameter, trained with several seeds."""

    objective: str
    label: str
    x: Float[np.ndarray, " seed"]
    y: Float[np.ndarray, " seed"]


def save_scatter(
    path: Path, settings: Sequence[Setting], *, xlabel: str, ylabel: str, title: str
) -> None:
    """Draws each setting as its mean over seeds (Liu et al. 2020, Figure 8).

    Bars are 95 % confidence intervals of the mean by Student's t; the light dots are
    single seeds. Colour and marker tell the objective, the label the hyper-parameter.

    Raises:
        ValueError: More objectives than there are colours.
    """
    objectives = list(dict.fromkeys(setting.objective for setting in settings))
    colours = colour_each("save_scatter", objectives)
    markers = dict(zip(objectives, MARKERS, strict=False))
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    axis = figure.subplots()
    for objective, _, x, y in settings:
        style = {"color": colours[objective], "marker": markers[objective]}
        axis.scatter(x, y, s=14, alpha=0.3, linewidths=0, **style)
        axis.errorbar(
            x.mean(),
            y.mean(),
            xerr=confidence(x),
            yerr=confidence(y),
            ms=8,
            mec="white",
            lw=1.2,
            capsize=3,
            label=objective,
            **style,
        )
    axis.grid(alpha=0.3)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    handles = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(
        handles.values(), handles, loc="outside lower center", ncols=4, fontsize=9
    )
    figure.suptitle(title, fontsize=11, color=INK)
    _label_apart(
        axis,
        [(s.x.mean(), s.y.mean(), s.label, colours[s.objective]) for s in settings],
    )
    save(figure, path)


def confidence(values: Float[np.ndarray, " seed"]) -> float:
    """Half the 95 % interval of the mean, by Student's t; 0 of a single seed."""
    if len(values) < 2:
        return 0.0
    error = values.std(ddof=1) / np.sqrt(len(values))
    return float(error * scipy.stats.t.ppf((1 + _COVERAGE) / 2, len(values) - 1))


def save_attention_pair(
    path: Path,
    images: Float[np.ndarray, "image rows columns channel"],
    maps: Mapping[str, Float[np.ndarray, "image 2 rows columns"]],
    latents: Mapping[str, Int[np.ndarray, "image 2"]],
    *,
    title: str,
) -> None:
    """Draws each image beside the maps of two latents of each model (Figure 9).

    Maps are overlaid, each in the units of its own maximum; negative values count as 0.
    What is above a map is the number of its latent.
    """
    figure, axes = grid(len(images), 1 + 2 * len(maps), title=title)
    for axis, image in zip(axes[:, 0], images, strict=True):
        show_image(axis, image)
    axes[0, 0].set_title("input", fontsize=9, color=INK)
    for place, (model, of_images) in enumerate(maps.items()):
        for row, which in np.ndindex(of_images.shape[:2]):
            axis = axes[row, 1 + 2 * place + which]
            strength = np.maximum(of_images[row, which], 0)
            show_overlay(axis, images[row], strength / (strength.max() or 1.0))
            name = f"z{latents[model][row, which]}"
            first = f"{model}\n{name}" if row == 0 else name
            axis.set_title(first, fontsize=9, color=INK)
    save(figure, path)


def _label_apart(axis: Axes, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes (x, y, text, colour) beside each point, where no other text or point is.

    Of the free places the first of a ring around the point; if none is free, the first.
    """
    figure = axis.figure
    figure.draw_without_rendering()  # places depend on the layout
    taken = [_around(axis, x, y) for x, y, _, _ in points]
    figure.set_layout_engine("none")
    for x, y, text, colour in points:
        places = [
            _write(axis, x, y, text, colour, angle, distance)
            for distance in (8, 16, 28, 42)
            for angle in np.deg2rad([45, 135, 315, 225, 0, 180, 90, 270])
        ]
        boxes = [place.get_window_extent() for place in places]
        free = [
            axis.bbox.count_contains(box.get_points()) == 2
            and not box.count_overlaps(taken)
            for box in boxes
        ]
        chosen = free.index(True) if any(free) else 0
        taken.append(boxes[chosen])
        for i, place in enumerate(places):
            if i != chosen:
                place.remove()


def _around(axis: Axes, x: float, y: float) -> Bbox:
    """The marker of a point, in pixels of the figure."""
    (column, row), side = axis.transData.transform((x, y)), 6
    return Bbox.from_bounds(column - side, row - side, 2 * side, 2 * side)


def _write(
    axis: Axes,
    x: float,
    y: float,
    text: str,
    colour: str,
    angle: float,
    distance: float,
) -> Annotation:
    right, up = np.cos(angle), np.sin(angle)
    return axis.annotate(
        text,
        (x, y),
        (distance * right, distance * up),
        textcoords="offset points",
        ha="left" if right > 0.1 else "right" if right < -0.1 else "center",
        va="bottom" if up > 0.1 else "top" if up < -0.1 else "center",
        fontsize=8,
        color=colour,
        arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5}
        if distance > 20
        else None,
    )
