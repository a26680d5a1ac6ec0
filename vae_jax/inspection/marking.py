"""What is drawn of one inspected image, at its own size: map, mask and overlay.

Drawn strip by strip, so that of a large image little is held beside what is written.
"""

import os
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy import ndimage

STRIP_PIXELS = 2**20
PICTURES = ("maps", "masks", "overlays")
"""Folders, one for each kind of picture."""
LEVELS = 65535
"""Of a 16-bit map, beside 0."""

# Dark to bright as in matplotlib's magma, which is linear between these to the eye.
_COLOURS = ((0, 0, 4), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191))
_STRENGTHS = np.linspace(0, 1, 256)
_PALETTE = np.stack(
    [
        np.interp(_STRENGTHS, np.linspace(0, 1, len(_COLOURS)), shades)
        for shades in zip(*_COLOURS, strict=True)
    ],
    axis=1,
)
_OPACITY = (255 * 0.85 * _STRENGTHS).round().astype(int).tolist()
_OUTLINE = (0, 229, 255)
_OUTLINES_PER_SIDE = 400
"""The outline of a mask is as wide as this part of the shorter side."""


class Scale(NamedTuple):
    """From raw map values to 16 bits, the same for all images of a run.

    code = round(65535 (value - low) / (high - low)), clipped to [0, 65535].
    """

    low: float
    high: float

    def strength(
        self, values: Float[np.ndarray, "rows columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        """From 0 at `low` to 1 at `high`, clipped."""
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)


class Marks(NamedTuple):
    """Where pictures are written, and how raw maps are read for them."""

    folder: Path
    map_scale: Scale
    colours: Scale

    def file(self, kind: str, name: str) -> Path:
        """The file of the image `name` that is one of `PICTURES`.

        The whole name is kept, so that a.png and a.jpg do not share one.
        """
        return self.folder / kind / f"{name}.png"


def draw(
    marks: Marks,
    name: str,
    pixels: UInt8[np.ndarray, "height width channel"],
    values: Float[np.ndarray, "rows columns"],
    *,
    threshold: float,
) -> Bool[np.ndarray, "height width"]:
    """Writes the three files of an image; returns its mask, see `mask_of`.

    The raw map `values` is at the image's size or at the model's, and then enlarged.
    A file appears whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    size = pixels.shape[:2]
    strips = _strips(*size)
    # One after the other: each is as large as the image.
    codes = np.empty(size, np.uint16)
    for strip in strips:
        strength = marks.map_scale.strength(resized(values, size, strip))
        codes[strip] = np.rint(LEVELS * strength)
    _save(Image.fromarray(codes), marks.file("maps", name))
    del codes
    mask = mask_of(values, size, threshold=threshold)
    _save(Image.fromarray(mask), marks.file("masks", name))
    overlay = Image.new("RGB", size[::-1])
    for strip in strips:
        strength = marks.colours.strength(resized(values, size, strip))
        overlay.paste(_coloured(pixels[strip], strength), (0, strip.start))
    if mask.any():
        overlay.paste(_OUTLINE, mask=Image.fromarray(_outline(mask)))
    _save(overlay, marks.file("overlays", name))
    return mask


def mask_of(
    values: Float[np.ndarray, "rows columns"],
    size: tuple[int, int],
    *,
    threshold: float,
) -> Bool[np.ndarray, "height width"]:
    """Where the raw map, enlarged to `size`, reaches the threshold."""
    mask = np.empty(size, np.bool_)
    for strip in _strips(*size):
        mask[strip] = resized(values, size, strip) >= threshold
    return mask


def resized(
    values: Float[np.ndarray, "rows columns"], size: tuple[int, int], strip: slice
) -> Float[np.ndarray, "strip width"]:
    """The rows `strip` of the map at `size` (height, width), bilinear."""
    if values.shape == size:
        return values[strip]
    height, width = size
    rows, columns = values.shape
    box = (0, strip.start * rows / height, columns, strip.stop * rows / height)
    part = Image.fromarray(values).resize(
        (width, strip.stop - strip.start), Image.Resampling.BILINEAR, box=box
    )
    return np.asarray(part)


def _strips(height: int, width: int) -> list[slice]:
    rows = max(1, STRIP_PIXELS // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _coloured(
    pixels: UInt8[np.ndarray, "rows columns channel"],
    strength: Float[np.ndarray, "rows columns"],
) -> Image.Image:
    """The image where the map is weak, the map's colour where it is strong."""
    gray_or_colour = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    image = Image.fromarray(gray_or_colour).convert("RGB")
    level = Image.fromarray(np.rint(255 * strength).astype(np.uint8))
    opacity = level.point(_OPACITY)
    level.putpalette(_PALETTE.round().astype(np.uint8).tobytes())
    return Image.composite(level.convert("RGB"), image, opacity)


def _outline(
    mask: Bool[np.ndarray, "rows columns"],
) -> Bool[np.ndarray, "rows columns"]:
    """The inner edge of each region; the edge of the image is none."""
    reach = max(1, round(min(mask.shape) / _OUTLINES_PER_SIDE))
    inner = mask.view(np.uint8)
    for axis in (0, 1):
        inner = ndimage.minimum_filter1d(inner, 2 * reach + 1, axis, mode="nearest")
    return mask & ~inner.view(np.bool_)


def _save(image: Image.Image, path: Path) -> None:
    """PNG, twice as fast as PIL's default and a few percent larger."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    image.save(partial, format="png", compress_type=zlib.Z_RLE)
    os.replace(partial, path)
