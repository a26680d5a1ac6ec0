"""How images are looked at; plain values, quick to import."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which images are looked at, how, and from which score on they are anomalous."""

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

    def __post_init__(self) -> None:
        if not (self.tile in (None, "auto") or isinstance(self.tile, int)):
            raise ValueError(
                f"--tile must be a side in pixels, auto or None, got {self.tile!r}."
            )
        if self.overlap is not None and self.tile is None:
            raise ValueError("--overlap needs --tile: overlap is None without tile.")
