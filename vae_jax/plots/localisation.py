"""Images with what is true and what maps say of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes

from vae_jax.anomaly import ColourLimits
from vae_jax.plots.drawing import (
    COLOURS,
    INK,
    grid,
    outline,
    save,
    show_image,
    show_overlay,
)


class Example(NamedTuple):
    """One image of a panel, with what is true and what the map says of it."""

    title: str
    image: Float[np.ndarray, "rows columns channel"]
    mask: Bool[np.ndarray, "rows columns"]
    map: Float[np.ndarray, "rows columns"]


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
    figure, axes = grid(len(rows), len(examples), title=title)
    for column, example in zip(axes.T, examples, strict=True):
        column[0].set_title(example.title, fontsize=8, color=INK)
        show_image(column[0], example.image)
        if truth:
            column[1].imshow(example.mask, cmap="gray", vmin=0, vmax=1)
        drawn = column[-2].imshow(
            example.map, cmap=COLOURS, vmin=limits[0], vmax=limits[1]
        )
        _show_overlay(column[-1], example, limits)
    for axis, label in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(label, fontsize=9, color=INK)
    figure.colorbar(drawn, ax=axes[-2:], shrink=0.8, aspect=30)
    save(figure, path)


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
    figure, axes = grid(
        len(rows), len(examples), title=title, width_over_height=width_over_height
    )
    for column, example in zip(axes.T, examples, strict=True):
        column[0].set_title(example.title, fontsize=8, color=INK)
        show_image(column[0], example.image)
        if truth:
            column[1].imshow(example.mask, cmap="gray", vmin=0, vmax=1)
        for axis, (name, (low, high)) in zip(
            column[-len(limits) :], limits.items(), strict=True
        ):
            # Clipped: far outside a narrow scale, matplotlib overflows.
            values = np.clip(example.maps[name], low, high)
            axis.imshow(values, cmap=COLOURS, vmin=low, vmax=high)
            if example.mask.any():
                outline(axis, example.mask)
        for axis in column:
            axis.set_aspect(1 / width_over_height)
    for axis, label in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(label.replace("@", "\n@"), fontsize=8, color=INK)
    save(figure, path)


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
    figure, axes = grid(-(-(len(order) + 1) // columns), columns, title=title)
    cells = axes.ravel()
    show_image(cells[0], image)
    cells[0].set_title("image", fontsize=8, color=INK)
    brightest = float(maps[order].max()) or 1.0
    for cell, latent in zip(cells[1:], order, strict=False):
        cell.imshow(maps[latent], cmap=COLOURS, vmin=0, vmax=brightest)
        cell.set_title(f"z{latent}: {kl[latent]:.1f} nats", fontsize=8, color=INK)
    for cell in cells[len(order) + 1 :]:
        cell.set_visible(False)
    save(figure, path)


def _show_overlay(axis: Axes, example: Example, limits: ColourLimits) -> None:
    strength = np.clip((example.map - limits.low) / (limits.high - limits.low), 0, 1)
    show_overlay(axis, example.image, strength)
    if example.mask.any():
        outline(axis, example.mask)
