"""Results over seeds, and the maps of two latents side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from vae_jax.metrics import confidence_half_width
from vae_jax.plots.drawing import (
    INK,
    WHITE_EDGE,
    Style,
    grid,
    save,
    show_image,
    show_overlay,
    style_each,
)


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
    """
    objectives = list(dict.fromkeys(setting.objective for setting in settings))
    styles = style_each(objectives)
    figure = Figure(figsize=(8.5, 5.2), layout="constrained")
    axis = figure.subplots()
    for objective, _, x, y in settings:
        colour, marker, _ = styles[objective]
        axis.scatter(x, y, 14, colour, marker=marker, alpha=0.3, linewidths=0)
        axis.errorbar(
            x.mean(),
            y.mean(),
            _reach(y),
            _reach(x),
            marker,
            color=colour,
            markersize=8,
            markeredgecolor="white",
            linewidth=1.2,
            capsize=3,
            label=objective,
        )
    axis.grid(alpha=0.3)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    drawn, names = axis.get_legend_handles_labels()
    once = dict(zip(names, drawn, strict=True))
    figure.legend(once.values(), once, loc="outside right upper", fontsize=9)
    axis.set_title(title, fontsize=11, color=INK)  # the legend stands beside it
    _label_apart(figure, axis, settings, styles)
    save(figure, path)


def _reach(values: Float[np.ndarray, " seed"]) -> float:
    """Of the bar to each side; a single seed has none."""
    return confidence_half_width(values) if len(values) > 1 else 0.0


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
    The number in a corner is that of the latent.
    """
    figure, axes = grid(len(images), 1 + 2 * len(maps), title=title)
    for axis, image in zip(axes[:, 0], images, strict=True):
        show_image(axis, image)
    axes[0, 0].set_title("input", fontsize=9, color=INK)
    pairs = [(model, which) for model in maps for which in (0, 1)]
    for column, (model, which) in zip(axes.T[1:], pairs, strict=True):
        column[0].set_title(model, fontsize=9, color=INK)
        of_images = zip(maps[model][:, which], latents[model][:, which], strict=True)
        for axis, image, (map_, number) in zip(column, images, of_images, strict=True):
            strength = np.maximum(map_, 0)
            show_overlay(axis, image, strength / (strength.max() or 1.0))
            _write_in_corner(axis, f"z{number}")
    save(figure, path)


def _write_in_corner(axis: Axes, text: str) -> None:
    axis.text(
        0.05,
        0.05,
        text,
        transform=axis.transAxes,
        fontsize=9,
        color=INK,
        bbox={"facecolor": "white", "linewidth": 0, "pad": 1.5},
    )


def _label_apart(
    figure: Figure, axis: Axes, settings: Sequence[Setting], styles: Mapping[str, Style]
) -> None:
    """Writes each label beside its point, where no other label, point or bar is.

    Of the free places the first on rings around the point; if none is, the one that
    covers least, and another label last of all.
    """
    figure.draw_without_rendering()  # places depend on the layout
    figure.set_layout_engine("none")
    drawn = [box for setting in settings for box in _drawn(axis, setting)]
    written: list[Bbox] = []
    for setting in settings:
        colour = styles[setting.objective].colour
        places = [
            _write(axis, setting, colour, angle, distance)
            for distance in (7.0, 14.0, 22.0, 32.0, 44.0, 58.0, 74.0)
            for angle in np.deg2rad([45, 135, 315, 225, 0, 180, 90, 270])
        ]
        boxes = [place.get_window_extent() for place in places]
        covered = [
            box.count_overlaps(drawn)
            + 100 * box.count_overlaps(written)
            + 100 * (not _is_inside(axis, box))
            for box in boxes
        ]
        chosen = int(np.argmin(covered))
        written.append(boxes[chosen])
        for place in places[:chosen] + places[chosen + 1 :]:
            place.remove()


def _drawn(axis: Axes, setting: Setting) -> list[Bbox]:
    """Marker and bars of a setting, in pixels of the figure."""
    x, y = setting.x.mean(), setting.y.mean()
    reach = _reach(setting.x), _reach(setting.y)
    middle, end = axis.transData.transform([(x, y), np.add((x, y), reach)])
    wide, high = end - middle
    return [
        Bbox([middle - half, middle + half])
        for half in np.array([(6, 6), (wide, 2), (2, high)])
    ]


def _is_inside(axis: Axes, box: Bbox) -> bool:
    corners = axis.bbox.count_contains(box.get_points())  # two opposite ones
    return bool(corners == 2)


def _write(
    axis: Axes, setting: Setting, colour: str, angle: float, distance: float
) -> Annotation:
    """Away from the point by a distance in points, with a line to it if that is far."""
    right, up = np.cos(angle), np.sin(angle)
    line = {"arrowstyle": "-", "color": colour, "lw": 0.6, "shrinkB": 4}
    return axis.annotate(
        setting.label,
        (setting.x.mean(), setting.y.mean()),
        (distance * right, distance * up),
        textcoords="offset points",
        ha="left" if right > 0.1 else "right" if right < -0.1 else "center",
        va="bottom" if up > 0.1 else "top" if up < -0.1 else "center",
        fontsize=8,
        color=colour,
        path_effects=WHITE_EDGE,
        arrowprops=line if distance > 20 else None,
    )
