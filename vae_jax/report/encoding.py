"""Images, maps and masks as text small enough for a page.

A map becomes the number of levels that each pixel reaches, 8 bits of it, one set of
levels for all maps of a category. A pixel has at least code k exactly if its value
reaches the k-th level, so masks at a level are exact: all that is lost is which
thresholds lie between two levels. The calibrated threshold is itself a level.
"""

import base64
import io
import zlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

MOST_LEVELS = 255
BEYOND_SCALE = 54
"""Levels for values above the colour scale and above the threshold: the rest, 0.5 % of
the scale apart, are where thresholds are looked for."""
WEBP_QUALITY = 90

Levels = Float[np.ndarray, " levels"]
Codes = UInt8[np.ndarray, "rows columns"]


class Rendition(NamedTuple):
    """One image with its map and mask as the page holds them, in base64."""

    image: str
    """WebP."""
    map: str
    """See `pack`."""
    mask: str | None
    """0 and 1, see `pack`."""
    rows: int
    columns: int


def threshold_levels(
    *, low: float, high: float, threshold: float, top: float
) -> Levels:
    """At most 255 ascending float32 levels, `threshold` among them if it is finite.

    Args:
        low: lower end of the colour scale; what is below is not told apart.
        high: its upper end.
        threshold: the calibrated one of a pixel.
        top: the highest value of any map.
    """
    finite = [threshold] if np.isfinite(threshold) else []
    low = min([low, top, *finite])
    knee = min(top, max([high, *finite]))
    scale = np.linspace(low, knee, MOST_LEVELS - BEYOND_SCALE - len(finite))
    # Steps that grow in proportion reach far with few levels.
    step = max(knee - low, np.finfo(np.float32).tiny) / len(scale)
    beyond = knee - step + np.geomspace(step, top - knee + step, BEYOND_SCALE + 1)[1:]
    return np.unique(np.concatenate([scale, beyond, finite]).astype(np.float32))


def quantise(
    values: Float[np.ndarray, "*shape"], levels: Levels
) -> UInt8[np.ndarray, "*shape"]:
    """How many levels each value reaches."""
    reached = np.searchsorted(levels, values.astype(np.float32), side="right")
    return reached.astype(np.uint8)


def shrink_codes(
    codes: Codes, longest: int
) -> UInt8[np.ndarray, "smaller_rows smaller_columns"]:
    """The highest code of each block, so that the longer side has `longest` pixels.

    A pixel is then flagged exactly if any pixel of its block is, at every threshold.
    Smaller maps stay as they are.
    """
    factor = min(1.0, longest / max(codes.shape))
    for axis, size in enumerate(codes.shape):
        count = max(1, round(factor * size))
        codes = np.maximum.reduceat(codes, np.arange(count) * size // count, axis=axis)
    return codes


def pack(values: UInt8[np.ndarray, "rows columns"]) -> str:
    """Differences along both axes, modulo 256, deflated, in base64.

    Sums along both axes undo it. On smooth maps it is smaller than PNG, and a page
    reads it without a canvas, whose pixels some browsers falsify against tracking.
    """
    for axis in (0, 1):
        values = np.diff(values, axis=axis, prepend=np.uint8(0))
    return _base64(zlib.compress(values.tobytes()))


def pack_image(pixels: UInt8[np.ndarray, "height width channel"], longest: int) -> str:
    """WebP in base64; larger images are reduced to `longest` pixels a side."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((longest, longest), Image.Resampling.BOX)
    buffer = io.BytesIO()
    # Method 2 is three times as fast as the default, and no larger.
    image.save(buffer, format="webp", quality=WEBP_QUALITY, method=2)
    return _base64(buffer.getvalue())


def render(
    image: UInt8[np.ndarray, "height width channel"],
    codes: Codes,
    mask: Bool[np.ndarray, "rows columns"] | None,
    *,
    image_side: int,
    map_side: int,
) -> Rendition:
    """One image with its map and mask, at most so large."""
    small = shrink_codes(codes, map_side)
    truth = None if mask is None else shrink_codes(mask.astype(np.uint8), map_side)
    return Rendition(
        pack_image(image, image_side),
        pack(small),
        None if truth is None else pack(truth),
        *small.shape,
    )


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
