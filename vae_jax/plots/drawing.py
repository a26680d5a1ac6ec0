"""What figures share: ink, colours, grids of cells, images, tiles, saving."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

INK = "#222222"
TRUTH = "#00e5ff"
COLOURS = "magma"
LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart with any colour vision (Okabe and Ito 2008); yellow is too light."""
MARKERS = "os^DvPX"
DASHES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
WHITE_EDGE = (withStroke(linewidth=2, foreground="white"),)
"""Around text that lies on something."""

CELL = 0.6
"""Inches of an image among many."""


def grid(
    rows: int, columns: int, *, title: str, width_over_height: float = 1.0
) -> tuple[Figure, np.ndarray]:
    """A figure of cells without ticks."""
    size = (1.5 * width_over_height * columns + 1, 1.5 * rows + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(title, fontsize=11, color=INK)
    for axis in axes.ravel():
        axis.set(xticks=[], yticks=[])
    return figure, axes


def show_image(axis: Axes, image: Float[np.ndarray, "rows columns channel"]) -> None:
    """Draws an image in [0, 1], also a gray one, which imshow does not take."""
    axis.imshow(np.repeat(image, 3 // image.shape[-1], axis=-1), vmin=0, vmax=1)


def show_overlay(
    axis: Axes,
    image: Float[np.ndarray, "rows columns channel"],
    strength: Float[np.ndarray, "rows columns"],
) -> None:
    """Draws a map in [0, 1] over its image, which stays as it is where the map is 0."""
    show_image(axis, image)
    axis.imshow(strength, cmap=COLOURS, vmin=0, vmax=1, alpha=0.85 * strength**0.5)


def outline(axis: Axes, mask: Bool[np.ndarray, "rows columns"]) -> None:
    """Draws the edge of what is true."""
    axis.contour(mask, levels=[0.5], colors=TRUTH, linewidths=0.7)


def show_tiles(
    axis: Axes,
    images: Float[np.ndarray, "row column height width channel"],
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    gap: float = 0.08,
) -> None:
    """Draws many images as one, with names beside the rows and above the columns.

    `gap` is the space between two, white, as a share of an image's side.
    """
    _, _, height, width, _ = images.shape
    space = round(gap * max(height, width))
    axis.set_frame_on(False)
    axis.tick_params(
        length=0, labelsize=8, labelcolor=INK, labeltop=True, labelbottom=False
    )
    show_image(axis, tile(images, gap=space))
    for names, set_ticks, side in (
        (rows, axis.set_yticks, height),
        (columns, axis.set_xticks, width),
    ):
        set_ticks(np.arange(len(names)) * (side + space) + (side - 1) / 2, names)


def tile(
    images: Float[np.ndarray, "row column height width channel"], *, gap: int
) -> Float[np.ndarray, "rows columns channel"]:
    """All images side by side as one, in [0, 1], with `gap` white pixels between."""
    rows, columns, height, width, channels = images.shape
    edges = ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0))
    apart = np.pad(np.clip(images, 0, 1), edges, constant_values=1).swapaxes(1, 2)
    whole = apart.reshape(rows * (height + gap), columns * (width + gap), channels)
    return whole[: len(whole) - gap, : whole.shape[1] - gap]


class Style(NamedTuple):
    """What tells one of several things in a figure from the others."""

    colour: str
    marker: str
    line: Literal["-", "--", ":", "-."]


def style_each(names: Sequence[str]) -> dict[str, Style]:
    """A style for each name, the same whenever the names come in this order.

    The first seven differ in colour and marker; from then on colours come again with
    other markers and kinds of line.
    """
    styles = {}
    for i, name in enumerate(names):
        turn, place = divmod(i, len(LINES))
        marker = MARKERS[(place + turn) % len(MARKERS)]
        styles[name] = Style(LINES[place], marker, DASHES[turn % len(DASHES)])
    return styles


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG, cut to what is drawn."""
    with path.open("wb") as file:
        figure.savefig(
            file, dpi=130, format="png", bbox_inches="tight", pad_inches=0.08
        )
