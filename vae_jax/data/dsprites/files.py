"""dSprites from its published file, or as prepared by TensorFlow Datasets."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vae_jax.data.dsprites.rendering import GRID, PROCEDURAL, SIDE, pack
from vae_jax.data.factor_records import read_grid
from vae_jax.data.factors import FactorGrid, GridImages

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
"""The published file."""

PREPARED = {"dsprites": "dSprites", "dsprites_procedural": PROCEDURAL}
"""What TensorFlow Datasets calls a set, and what it is."""

LABELS = {
    "shape": "label_shape",
    "scale": "label_scale",
    "orientation": "label_orientation",
    "x": "label_x_position",
    "y": "label_y_position",
}

_AT_A_TIME = 4096


def load(data_dir: str | Path) -> GridImages:
    """Loads dSprites as packed bits; nothing is downloaded.

    Of the whole set the file takes some ten seconds, records some four minutes.

    Args:
        data_dir: the published file, the folder that holds it, or a folder of
            TensorFlow Datasets that holds dsprites, or else dsprites_procedural, as
            array records.

    Returns:
        Images as `dsprites.pack` packs them, and the grid of the values that occur.

    Raises:
        ValueError: there is no such data, or it is broken or incomplete.
    """
    folder = Path(data_dir).expanduser()
    file = folder if folder.suffix == ".npz" else folder / FILE
    if file.is_file():
        return _read_file(file)
    for name, source in PREPARED.items():
        if (folder / name).is_dir():
            return read_grid(
                folder / name, LABELS, channels=1, store=_pack, source=source
            )
    got = "neither" if folder.exists() else "nothing there"
    raise ValueError(
        f"load: {folder} must be or hold {FILE}, or hold dsprites as prepared by "
        f"TensorFlow Datasets, got {got}; fetch the file from "
        "https://github.com/deepmind/dsprites-dataset."
    )


def _read_file(file: Path) -> GridImages:
    try:
        with zipfile.ZipFile(file) as archive:
            with archive.open("latents_classes.npy") as member:
                grid = _grid(np.lib.format.read_array(member, allow_pickle=False))
            stored = np.concatenate([*_packed(archive, grid)])
    except (
        OSError,
        KeyError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise ValueError(
            f"load: {file} is broken or not {FILE} ({reason[0]}); fetch it again from "
            "https://github.com/deepmind/dsprites-dataset."
        ) from error
    return GridImages(stored, grid, PREPARED["dsprites"])


def _grid(classes: np.ndarray) -> FactorGrid:
    """Of all factors but the first, the colour, which is always white."""
    if classes.ndim == 2 and classes.shape[1] == 1 + len(GRID.sizes) and len(classes):
        sizes = tuple(int(most) + 1 for most in classes.max(axis=0))
        grid = FactorGrid(GRID.names, sizes[1:])
        if len(classes) == grid.size:
            expected = grid.classes(np.arange(grid.size))
            if np.array_equal(classes, np.pad(expected, ((0, 0), (1, 0)))):
                return grid
    raise ValueError(
        "latents_classes must be every combination of the factors in order"
    )


def _packed(
    archive: zipfile.ZipFile, grid: FactorGrid
) -> Iterator[UInt8[np.ndarray, "image 512"]]:
    """Some images at a time: all of them would take 3 GB."""
    with archive.open("imgs.npy") as member:
        version = np.lib.format.read_magic(member)
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        if version != (1, 0) or shape != (grid.size, SIDE, SIDE) or dtype != np.uint8:
            raise ValueError(
                f"imgs must be uint8 {(grid.size, SIDE, SIDE)}, got {dtype} {shape}"
            )
        for start in range(0, grid.size, _AT_A_TIME):
            some = min(_AT_A_TIME, grid.size - start), SIDE, SIDE
            content = member.read(math.prod(some))
            if len(content) < math.prod(some):
                raise ValueError("imgs.npy ends too soon")
            pixels = np.frombuffer(content, np.uint8).reshape(some)
            if pixels.max() > 1:
                raise ValueError(f"imgs must be 0 and 1, got {pixels.max()}")
            yield pack(pixels.astype(np.bool_))


def _pack(
    pixels: UInt8[np.ndarray, "image 64 64 1"],
) -> UInt8[np.ndarray, "image 512"]:
    return pack(pixels[..., 0] > 0)
