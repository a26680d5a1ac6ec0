"""A tiny data set in the published layout."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]


@pytest.fixture
def write_png() -> Write:
    def write(path: Path, value: int = 128, *, mode: str = "L", side: int = 40) -> Path:
        """Every image differs, so that a swapped pair is seen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (side, side) if mode == "L" else (side, side, 3)
        pixels = np.full(shape, value, np.uint8)
        pixels[: side // 2] //= 2
        Image.fromarray(pixels).save(path, format="png")
        return path

    return write


@pytest.fixture
def data_dir(tmp_path: Path, write_png: Write) -> Path:
    """`screw` (gray) and `leather` (colour): 6 training, 2 good, 2 x 2 defects.

    The stems of the defects have gaps, and the masks' order by position would differ.
    """
    root = tmp_path / "mvtec"
    for category, mode in (("screw", "L"), ("leather", "RGB")):
        folder = root / category
        for index in range(6):
            write_png(
                folder / "train" / "good" / f"{index:03}.png", 10 * index, mode=mode
            )
        for index in range(2):
            write_png(folder / "test" / "good" / f"{index:03}.png", 100, mode=mode)
        for defect, stems in (("cut", (3, 11)), ("bent", (0, 7))):
            for stem in stems:
                write_png(folder / "test" / defect / f"{stem:03}.png", stem, mode=mode)
                mask = np.zeros((40, 40), np.uint8)
                mask[:5, : stem + 1] = 255
                path = folder / "ground_truth" / defect / f"{stem:03}_mask.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(path)
    return root
