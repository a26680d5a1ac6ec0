"""Image files as PIL opens them, and 16-bit colour, which it can read but by halves."""

import io
import re
import sys
from typing import Any

import numpy as np
from jaxtyping import UInt16
from PIL import Image, ImageFile, ImageOps

FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What is read, whatever the file's name says. Others of PIL start programs."""

WIDE_COLOUR = re.compile("RGBA?;16[BLN]")
"""PIL's names for how values lie in a file: big-endian, little, as in memory."""


class SeveralImagesError(ValueError):
    """A file holds more than one image, and only one would be seen."""


def open_image(encoded: bytes) -> ImageFile.ImageFile:
    """A file of one of `FORMATS`, of which the pixels are not read yet.

    Raises:
        SeveralImagesError: it holds several of one size. Others are thumbnails.
    """
    opened = Image.open(io.BytesIO(encoded), formats=FORMATS)
    assert isinstance(opened, ImageFile.ImageFile)
    if getattr(opened, "is_animated", False):
        size = opened.size
        opened.seek(1)
        if opened.size == size:
            raise SeveralImagesError(
                "holds several images, of which one alone would be seen; save each as "
                "a file."
            )
        opened.seek(0)
    return opened


def load_image(encoded: bytes, *, lower_bytes: bool = False) -> Image.Image:
    """As it is shown; of 16-bit colour PIL takes the upper bytes, or else the lower."""
    with open_image(encoded) as image:
        if lower_bytes:
            image.tile = [_swapped(tile) for tile in image.tile]
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return image


def wide_colour(encoded: bytes) -> UInt16[np.ndarray, "height width 3"] | None:
    """The values of 16-bit colour, which PIL can read but by halves; None of others."""
    with open_image(encoded) as image:
        if not WIDE_COLOUR.fullmatch(raw_mode(image)):
            return None
    upper, lower = (
        np.asarray(load_image(encoded, lower_bytes=half))[..., :3]
        for half in (False, True)
    )
    return upper.astype(np.uint16) << 8 | lower


def raw_mode(image: ImageFile.ImageFile) -> str:
    """How the values lie in the file, in PIL's words; "" where a codec knows."""
    arguments = image.tile[0][3] if image.tile else ""
    first = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
    return first if isinstance(first, str) else ""


def _swapped(tile: Any) -> Any:
    """Taken for the other byte order, the upper byte is the lower."""
    native = {"little": "L", "big": "B"}[sys.byteorder]
    other = {"B": "L", "L": "B", "N": {"L": "B", "B": "L"}[native]}
    *place, arguments = tile
    if isinstance(arguments, str):
        return type(tile)(*place, arguments[:-1] + other[arguments[-1]])
    mode, *rest = arguments
    return type(tile)(*place, (mode[:-1] + other[mode[-1]], *rest))
