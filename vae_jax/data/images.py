"""Encoded bytes to arrays: one decoder for every image and mask of the project."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageOps

SMALLEST_SIDE = 32
"""Images with a shorter side than this are refused, whatever the network's size."""


def decode(
    encoded: bytes, *, channels: int, name: str
) -> UInt8[np.ndarray, "height width channel"]:
    """Decodes an image to 8 bits and 1 (gray) or 3 (RGB) channels.

    Palettes are looked up, 16-bit gray is scaled to 8 bits, the EXIF orientation is
    applied and an alpha channel is dropped.

    Raises:
        ValueError: the bytes are no whole image; the message begins with `name`.
    """
    if channels not in (1, 3):
        raise ValueError(f"decode: channels must be 1 or 3, got {channels}.")
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"decode: {name} is truncated or no image ({error}); "
            "fetch or export this file again."
        ) from error
    pixels = np.asarray(_to_8_bits(upright).convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def decode_mask(encoded: bytes, *, name: str) -> Bool[np.ndarray, "height width"]:
    """Decodes a mask at its own size: anomalous where the gray value exceeds 127.

    Raises:
        ValueError: the bytes are no whole image; the message begins with `name`.
    """
    return decode(encoded, channels=1, name=name)[..., 0] > 127


class Header(NamedTuple):
    """What an image file says of itself."""

    height: int
    width: int
    channels: int


def read_header(encoded: bytes, *, name: str) -> Header:
    """Reads the header and checks every checksum, without decompressing.

    Raises:
        ValueError: the file is truncated or no image; the message begins with `name`.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            header = Header(image.height, image.width, 1 if _is_gray(image) else 3)
            image.verify()
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"read_header: {name} is truncated or no image ({error}); "
            "fetch or export this file again."
        ) from error
    return header


def encode(pixels: UInt8[np.ndarray, "height width *channel"]) -> bytes:
    """Encodes gray, [h w] or [h w 1], or RGB pixels as PNG."""
    buffer = io.BytesIO()
    squeezed = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
    Image.fromarray(squeezed).save(buffer, format="png")
    return buffer.getvalue()


def resize(
    pixels: UInt8[np.ndarray, "height width channel"], size: int, *, name: str
) -> UInt8[np.ndarray, "size size channel"]:
    """Resizes to a square with an antialiased triangle filter (PIL's bilinear).

    The aspect ratio is not kept: maps are stretched back by the same factors. Moderate
    enlargement is allowed; beyond four times a network would see interpolation only.

    Raises:
        ValueError: the shorter side is below 32 pixels or a quarter of `size`.
    """
    height, width, channels = pixels.shape
    smallest = max(SMALLEST_SIDE, size // 4)
    if min(height, width) < smallest:
        raise ValueError(
            f"resize: {name} is {height}x{width} pixels, smaller than the network at "
            f"{size} pixels needs; give images of at least {smallest} pixels a side "
            "or choose a smaller image size."
        )
    squeezed = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    resized = squeezed.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(size, size, channels)


def resize_mask(
    mask: Bool[np.ndarray, "height width"], size: int
) -> Bool[np.ndarray, "size size"]:
    """Resizes to a square by taking the nearest pixel.

    Every value stays one that was drawn, but a region thinner than a pixel of the
    result can vanish: metrics at native resolution use the mask as decoded.
    """
    rows = np.floor((np.arange(size) + 0.5) * mask.shape[0] / size).astype(int)
    columns = np.floor((np.arange(size) + 0.5) * mask.shape[1] / size).astype(int)
    return mask[np.ix_(rows, columns)]


def to_float(pixels: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Scales 8-bit values to float32 in [0, 1]."""
    return np.divide(pixels, np.float32(255))  # one pass; uint8 promotes to float32


def check_finite(
    images: Float[np.ndarray, "batch height width channel"],
    *,
    names: Sequence[str] | None = None,
) -> None:
    """Refuses images with NaN or infinite values before they reach a model.

    Raises:
        ValueError: names the first such image, by `names` or by its index.
    """
    broken = ~np.isfinite(images).all(axis=(1, 2, 3))
    if not broken.any():
        return
    first = int(np.argmax(broken))
    which = f"image {first}" + (f" ({names[first]})" if names is not None else "")
    values = int(np.sum(~np.isfinite(images[first])))
    raise ValueError(
        f"check_finite: images must be finite, {which} has {values} NaN or infinite "
        f"values ({int(broken.sum())} such images of {len(images)}); "
        "repair or remove them."
    )


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Maps modes whose plain conversion by PIL clips values or warns."""
    if image.mode.startswith("I"):  # 16-bit gray: I;16, or I in older releases
        wide = np.asarray(image).astype(np.float64)
        return Image.fromarray(np.clip(np.rint(wide / 257), 0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _is_gray(image: Image.Image) -> bool:
    return image.mode[0] in "1LIF"
