"""Inspects images with a detector that a localisation run has left.

python -m experiments.predict --checkpoint runs/mvtec/screw --images parts --out found
python -m experiments.predict --checkpoint detector.zip --images 'a/*.tif' b --out found

Writes below --out, for each image, maps/NAME.png (16 bits, one scale for all images),
masks/NAME.png and overlays/NAME.png at the size of the image, and a row of results.csv;
at the end results.json, which also says what was used. Killed and started again, it
continues. Exit status: 0; 1 if something stopped it; 2 for a wrong flag; 3 if some
images could not be read, each named with the reason, and the others were inspected.
"""

import dataclasses
from typing import Literal

from experiments import runner


@dataclasses.dataclass(frozen=True)
class Config:
    """Inspects images: score, verdict, map, mask and overlay of each.

    Exit status: 0; 1 if something stopped it; 2 for a wrong flag; 3 if it went through
    but some images could not be read.
    """

    checkpoint: str
    """A detector.zip, or the folder of a run that holds one."""
    images: tuple[str, ...]
    """Folders, files, or patterns in quotes; of a folder the files named like images
    (bmp, gif, jp2, jpg, pgm, png, ppm, tif, webp), of any size and depth."""
    out: str
    """Folder for the results, outside the folders of images."""
    recursive: bool = False
    """Look in the folders below the folders of images, too."""
    image_threshold: str = "auto"
    """From which raw score on an image is called anomalous. conformal:L, a normal one
    is with a probability of at most L; auto, the same at 0.05 or the least that the
    held-out normal images can promise; rate:R, at most that share of these is;
    quantile:Q of their scores; or a raw score."""
    pixel_threshold: str = "auto"
    """From which raw value on a pixel is marked. area:N, no held-out normal image shows
    a region of N pixels, of the detector's size; auto, the same for 0.1 % of its
    pixels; rate:R, at most that share of the pixels of these images is; quantile:Q of
    these pixels; or a raw value."""
    tile: int | Literal["auto"] | None = None
    """Cut images into squares of this side, in their own pixels, instead of resizing
    them whole as in training: for images that show more than those of training did.
    auto: only those more than 1.5 times as large, at the magnification of training. An
    image's score is that of its worst tile, while its threshold holds for one tile."""
    overlap: int | None = None
    """Of neighbouring tiles, whose maps are blended; default: a quarter of a tile."""
    batch_size: int = 32
    """Images, or tiles, that the device gets at a time."""
    overwrite: bool = False
    """Do everything anew. Default: what has a result and did not change keeps it."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"--batch-size must be at least 1, got {self.batch_size}.")
        if self.overlap is not None and self.tile is None:
            raise ValueError("--overlap needs --tile.")


def main(config: Config) -> int:
    """Inspects the images; returns the exit status."""
    # Imported here: --help must answer at once and jax takes half a second.
    from experiments import inspector

    return inspector.run(config)


if __name__ == "__main__":
    runner.run_tool(main, Config)
