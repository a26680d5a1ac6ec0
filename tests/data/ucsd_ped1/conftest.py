"""A tiny set in the published layout: three training clips, four test clips."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHAPE = (40, 44)
ROWS = ["2:3", "", "1:2, 5:6", "4"]
"""Of the label file; the masked clips are the first and the third."""

WriteMasks = Callable[[Path, Sequence[int]], None]


def label_text(rows: Sequence[str]) -> str:
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{row}];" for row in rows]
    return "\n".join(["TestVideoFile = {};", *lines, ""])


@pytest.fixture
def write_masks() -> WriteMasks:
    def write(folder: Path, marked: Sequence[int]) -> None:
        """Masks of six frames; in frame n of those marked, n rows are."""
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(1, 7):
            mask = np.zeros(SHAPE, np.uint8)
            if frame in marked:
                mask[:frame] = 255
            Image.fromarray(mask).save(folder / f"{frame:03}.bmp")

    return write


@pytest.fixture
def root(tmp_path: Path, write_masks: WriteMasks) -> Path:
    """UCSDped1 inside UCSD_Anomaly_Dataset.v1p2; every frame is another."""
    root = tmp_path / "data" / "UCSD_Anomaly_Dataset.v1p2" / "UCSDped1"
    for split, clips, frames in (("Train", 3, 4), ("Test", 4, 6)):
        for clip in range(1, clips + 1):
            folder = root / split / f"{split}{clip:03}"
            folder.mkdir(parents=True)
            for frame in range(1, frames + 1):
                pixels = np.full(SHAPE, 10 * frame + clip, np.uint8)
                pixels[:, 0] = 200 if split == "Test" else 100
                Image.fromarray(pixels).save(folder / f"{frame:03}.tif")
    write_masks(root / "Test" / "Test001_gt", [2, 3])
    write_masks(root / "Test" / "Test003_gt", [1, 2, 5, 6])
    (root / "Test" / "UCSDped1.m").write_text(label_text(ROWS))
    return root
