"""What latents draw: traversals, interpolations, the manifold, the decoder's metric."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from vae_jax.plots.drawing import (
    CELL,
    INK,
    LINES,
    MARKERS,
    WHITE_EDGE,
    save,
    show_image,
    show_tiles,
)

Images = Float[np.ndarray, "row column height width channel"]


def save_image_grid(
    path: Path,
    images: Images,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> None:
    """Draws images in rows and columns that have names, such as sums of latents."""
    figure = Figure(figsize=_size(images), layout="constrained")
    show_tiles(figure.subplots(), images, rows=rows, columns=columns)
    figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def save_traversals(
    path: Path,
    images: Float[np.ndarray, "latent step height width channel"],
    *,
    labels: Sequence[str],
    title: str,
) -> None:
    """Draws a row for each latent: the images as it goes from low to high."""
    save_image_grid(path, images, rows=labels, columns=(), title=title)


def save_traversal_gif(
    path: Path,
    images: Float[np.ndarray, "latent step height width channel"],
    *,
    labels: Sequence[str],
    title: str,
    milliseconds: int = 80,
) -> None:
    """All traversals as one moving picture, there and back without end.

    Each step takes so many milliseconds; a GIF counts hundredths of a second.
    """
    columns = min(len(images), 5)
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.1 * columns, 1.3 * rows + 0.4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=9, color=INK)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell, row, label in zip(cells, images, labels, strict=False):
        show_image(cell, np.clip(row[0], 0, 1))
        cell.set_title(label, fontsize=8, color=INK)
    for cell in cells:
        cell.set_axis_off()
    frames = []
    there = range(images.shape[1])
    for step in [*there, *reversed(there[1:-1])]:
        for cell, row in zip(cells, images, strict=False):
            pixels = np.clip(row[step], 0, 1)
            cell.images[0].set_data(np.repeat(pixels, 3 // pixels.shape[-1], axis=-1))
        canvas.draw()
        figure.set_layout_engine("none")  # nothing moves from one frame to the next
        drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        frames.append(drawn)
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0
    )


def save_interpolation(
    path: Path,
    curves: Mapping[str, Float[np.ndarray, "pair step height width channel"]],
    lengths: Mapping[str, Float[np.ndarray, " pair"]],
    *,
    title: str,
) -> None:
    """Draws a block for each pair of ends, in it a row for each kind of curve.

    With the curve's length beside its row, in the unit of the images.
    """
    images = np.stack(list(curves.values()), axis=1)
    figure = Figure(
        figsize=_size(np.concatenate(images), extra_height=0.15 * len(images)),
        layout="constrained",
    )
    blocks = figure.subplots(len(images), 1, squeeze=False)[:, 0]
    for pair, (axis, block) in enumerate(zip(blocks, images, strict=True)):
        rows = [f"{name}  {lengths[name][pair]:.2f}" for name in curves]
        show_tiles(axis, block, rows=rows)
    figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def save_manifold(
    path: Path,
    images: Images,
    latents: Float[np.ndarray, "row column 2"],
    *,
    title: str,
) -> None:
    """Draws what a plane of two latents decodes to, without gaps (`manifold_grid`)."""
    names = [
        [f"{value:.1f}" if i % 4 == 0 else "" for i, value in enumerate(values)]
        for values in (latents[:, 0, 1], latents[0, :, 0])
    ]
    figure = Figure(figsize=_size(images, cell=0.42), layout="constrained")
    axis = figure.subplots()
    show_tiles(axis, images, rows=names[0], columns=names[1], gap=0.0)
    axis.set_xlabel("first latent", fontsize=9, color=INK)
    axis.xaxis.set_label_position("top")
    axis.set_ylabel("second latent", fontsize=9, color=INK)
    figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def save_codes(
    path: Path,
    codes: Float[np.ndarray, "example 2"],
    labels: Int[np.ndarray, " example"],
    *,
    title: str,
) -> None:
    """Draws codes of two latents as dots, in a colour for each label."""
    kinds = np.unique(labels)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axis = figure.subplots()
    colours = matplotlib.colormaps["tab10" if len(kinds) <= 10 else "nipy_spectral"]
    places = np.searchsorted(kinds, labels)
    shades = places if len(kinds) <= 10 else places / len(kinds)
    axis.scatter(codes[:, 0], codes[:, 1], 5, colours(shades), alpha=0.5, linewidths=0)
    for kind, place in zip(kinds[:10], range(10), strict=False):
        x, y = np.median(codes[places == place], axis=0)
        axis.text(x, y, str(kind), fontsize=11, color=INK, path_effects=WHITE_EDGE)
    axis.set(xlabel="first latent", ylabel="second latent", aspect="equal")
    axis.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def save_metric_plane(
    path: Path,
    volume: Float[np.ndarray, "row column"],
    reach: float,
    *,
    codes: Float[np.ndarray, "example 2"],
    labels: Int[np.ndarray, " example"],
    curves: Mapping[str, Float[np.ndarray, "curve step 2"]],
    title: str,
) -> None:
    """Draws a plane of two latents, dark where the decoder changes fast, with curves.

    Args:
        path: of the PNG.
        volume: sqrt(det G) at even places from -reach to reach, the second latent
            growing from the first row down, as `numpy.meshgrid` has it.
        reach: of the plane.
        codes: posterior means, drawn as the digit or class number of each.
        labels: these numbers.
        curves: of each kind, from anywhere to anywhere.
        title: above.
    """
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    axis = figure.subplots()
    extent = (-reach, reach, -reach, reach)
    drawn = axis.imshow(
        np.log10(volume), cmap="Greys", extent=extent, origin="lower", alpha=0.8
    )
    for (x, y), label in zip(codes.tolist(), labels, strict=True):
        axis.text(x, y, str(label), fontsize=6, color=INK, ha="center", va="center")
    styles = zip(LINES, MARKERS, strict=True)
    for (name, lines), (colour, marker) in zip(curves.items(), styles, strict=False):
        for i, line in enumerate(lines):
            label = name if i == 0 else None
            axis.plot(
                *line.T, f"{marker}-", color=colour, ms=4, markevery=3, label=label
            )
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axis.set(xlabel="first latent", ylabel="second latent")
    axis.legend(fontsize=9, loc="upper right", framealpha=0.9)
    figure.colorbar(drawn, ax=axis, shrink=0.8, label="log10 sqrt det G")
    figure.suptitle(title, fontsize=10, color=INK)
    save(figure, path)


def _size(
    images: Images, *, cell: float = CELL, extra_height: float = 0.0
) -> tuple[float, float]:
    rows, columns, height, width, _ = images.shape
    return cell * columns + 1.2, cell * rows * height / width + 0.7 + extra_height
