"""Numbers in rows and columns, as colours and written out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vae_jax.plots.drawing import INK, save


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
    colours = np.where((values > 0.2) & (values < 0.8), INK, "white")
    _write_numbers(axis, values, "{:.2f}", colours)
    _name_cells(axis, rows, columns)
    figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def save_heat_map(
    path: Path,
    values: Float[np.ndarray, "row column"] | Int[np.ndarray, "row column"],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> None:
    """Draws numbers of any size, such as votes or nats, the greater the darker.

    Each number is written out, whole ones in full and others with two decimals; NaN is
    left blank.
    """
    figure = Figure(
        figsize=(0.62 * len(columns) + 1.6, 0.4 * len(rows) + 1.2), layout="constrained"
    )
    axis = figure.subplots()
    low, high = np.nanmin(values), np.nanmax(values)
    share = (values - low) / (high - low if high > low else 1)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    whole = np.issubdtype(values.dtype, np.integer)
    ink = np.where(share > 0.6, "white", INK)
    _write_numbers(axis, values, "{:d}" if whole else "{:.2f}", ink)
    _name_cells(axis, rows, columns)
    figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def _write_numbers(
    axis: Axes, values: np.ndarray, pattern: str, colours: np.ndarray
) -> None:
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = pattern.format(value).removeprefix("0" if value else "")
            axis.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color=colours[row, column],
            )


def _name_cells(axis: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    axis.set_xticks(range(len(columns)), columns, fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.tick_params(length=0)
