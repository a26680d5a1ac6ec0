"""Shapes3D: a coloured shape in a coloured room, by six factors.

The dataset: Burgess and Kim, "3D Shapes Dataset", 2018,
https://github.com/deepmind/3d-shapes.
"""

from pathlib import Path

from vae_jax.data.factor_records import read_grid
from vae_jax.data.factors import FactorGrid, GridImages

GRID = FactorGrid(
    ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"),
    (10, 10, 10, 8, 4, 15),
)
"""480,000 images, in the order of the published file."""


def load(data_dir: str | Path) -> GridImages:
    """Shapes3D from a folder of TensorFlow Datasets; nothing is downloaded.

    Args:
        data_dir: the folder that holds shapes3d/2.0.0 as array records.

    Returns:
        Images as uint8 [480000 64 64 3], 5.9 GB.

    Raises:
        ValueError: no such data in the folder, or some of it is missing.
    """
    folder = Path(data_dir).expanduser() / "shapes3d"
    if not folder.is_dir():
        raise ValueError(
            f"load: {folder.parent} must be a folder of TensorFlow Datasets that holds "
            "shapes3d/2.0.0, got none; name the folder above shapes3d."
        )
    labels = {name: f"label_{name}" for name in GRID.names}
    return read_grid(
        folder, labels, channels=3, store=lambda pixels: pixels, source="Shapes3D"
    )
