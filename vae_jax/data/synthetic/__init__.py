"""A procedural set in the layout of MVTec AD: two textures and one object.

It stands in where no real data are at hand. Its categories are named synthetic_*, and
it was drawn after real categories, not after what any method finds easy: among its
defects are faint ones and ones that change only the structure.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from vae_jax.data import drawing, images
from vae_jax.data.concurrency import in_threads, unfinished_folder
from vae_jax.data.layout import GOOD
from vae_jax.data.synthetic import fabric, gear, wood

__all__ = ["CATEGORIES", "Rendered", "render", "write_once", "write_synthetic"]

VERSION = 1
"""Of what is drawn: raised when the same seed gives another image."""
MARKER = "synthetic.json"


class Category(NamedTuple):
    """How to draw a category: a scene, the scene as pixels, its defects."""

    channels: int
    noise: float
    """Standard deviation of the camera's noise."""
    draw: Callable[[np.random.Generator, int], Any]
    shade: Callable[[Any], drawing.Pixels]
    defects: Mapping[str, Callable[[Any, np.random.Generator], drawing.Defective]]


CATEGORIES = {
    f"synthetic_{module.__name__.rpartition('.')[2]}": Category(
        module.CHANNELS, module.NOISE, module.draw, module.shade, module.DEFECTS
    )
    for module in (fabric, gear, wood)
}


class Rendered(NamedTuple):
    """One image; its mask is empty exactly if it is normal."""

    image: UInt8[np.ndarray, "size size channel"]
    mask: Bool[np.ndarray, "size size"]


class _Planned(NamedTuple):
    split: str
    defect: str
    index: int


def write_synthetic(
    folder: str | Path,
    *,
    seed: int = 0,
    image_size: int = 128,
    train: int = 80,
    test: int = 48,
) -> Path:
    """Writes the set once, whole or not at all, and returns `folder`.

    The same arguments give the same bytes; a folder that holds them is left as it is.

    Args:
        folder: where the categories go; missing, empty, or written by this function.
        seed: of everything drawn.
        image_size: side of the square images, in pixels.
        train: normal training images of each category.
        test: test images of each category, a quarter of them normal, the others
            divided evenly among the kinds of defect.

    Raises:
        ValueError: `folder` holds something else, or too few images are asked for.
        OSError: `folder` cannot be written.
    """
    kinds = max(len(category.defects) for category in CATEGORIES.values())
    if train < 2 or test < 2 * kinds or image_size < images.SMALLEST_SIDE:
        raise ValueError(
            f"write_synthetic: wanted train >= 2, test >= {2 * kinds} and image_size "
            f">= {images.SMALLEST_SIDE}, got {train}, {test} and {image_size}."
        )
    settings = {
        "version": VERSION,
        "seed": seed,
        "image_size": image_size,
        "train": train,
        "test": test,
    }

    def fill(whole: Path) -> None:
        for category in CATEGORIES:
            _write_category(whole / category, train, test, seed, image_size)

    return write_once(folder, settings, fill)


def write_once(
    folder: str | Path, settings: Mapping[str, Any], fill: Callable[[Path], None]
) -> Path:
    """Lets `fill` write a new folder, marks it with `settings`, and returns `folder`.

    It appears whole or not at all; one that bears these settings is left as it is.

    Raises:
        ValueError: `folder` holds something else.
        OSError: `folder` cannot be written.
    """
    folder = Path(folder).expanduser().absolute()
    if _holds(folder, settings):
        return folder
    with unfinished_folder(folder.name, beside=folder) as scratch:
        whole = scratch / "whole"
        fill(whole)
        (whole / MARKER).write_text(json.dumps(settings))
        try:
            os.replace(whole, folder)
        except OSError:
            # Another process may have been faster: then its copy serves.
            if not _holds(folder, settings):
                raise
    return folder


def render(
    category: str,
    *,
    split: str,
    defect: str,
    index: int,
    seed: int,
    image_size: int,
) -> Rendered:
    """Draws one image of the set; `defect` is "good" or one of the category's.

    It depends on the arguments alone, not on what was drawn before. Outside the mask it
    equals, to the last bit, the same scene without the defect.
    """
    name = zlib.crc32(f"{category}/{split}/{defect}/{index}".encode())
    scene_rng, defect_rng = map(
        np.random.default_rng, np.random.SeedSequence((seed, name)).spawn(2)
    )
    drawn = CATEGORIES[category]
    scene = drawn.draw(scene_rng, image_size)
    light = drawing.illumination(scene_rng, (image_size, image_size))[..., None]
    noise = scene_rng.normal(
        0.0, drawn.noise, size=(image_size, image_size, drawn.channels)
    )
    if defect == GOOD:
        image, mask = drawn.shade(scene), np.zeros((image_size, image_size), np.bool_)
    else:
        image, mask = drawn.defects[defect](scene, defect_rng)
    exposed = np.clip(image * light + noise, 0.0, 1.0)
    return Rendered(np.rint(255 * exposed).astype(np.uint8), mask)


def _plan(category: str, train: int, test: int) -> Iterator[_Planned]:
    yield from (_Planned("train", GOOD, index) for index in range(train))
    normal = test // 4
    yield from (_Planned("test", GOOD, index) for index in range(normal))
    kinds = sorted(CATEGORIES[category].defects)
    for position in range(test - normal):
        index, kind = divmod(position, len(kinds))
        yield _Planned("test", kinds[kind], index)


def _write_category(
    folder: Path, train: int, test: int, seed: int, image_size: int
) -> None:
    def write(planned: _Planned) -> None:
        split, defect, index = planned
        image, mask = render(
            folder.name,
            split=split,
            defect=defect,
            index=index,
            seed=seed,
            image_size=image_size,
        )
        _write(folder / split / defect / f"{index:03}.png", image)
        if defect != GOOD:
            path = folder / "ground_truth" / defect / f"{index:03}_mask.png"
            _write(path, mask.astype(np.uint8) * np.uint8(255))

    in_threads(write, _plan(folder.name, train, test))


def _write(path: Path, pixels: UInt8[np.ndarray, "..."]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode(pixels))


def _holds(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Says whether `folder` holds this very set; refuses any other content."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    marker = folder / MARKER
    held = json.loads(marker.read_text()) if marker.is_file() else None
    if held != settings:
        what = f"a synthetic set of {held}" if held else "something else"
        raise ValueError(
            f"write_once: {folder} holds {what}, wanted {settings}; "
            "give another folder."
        )
    return True
