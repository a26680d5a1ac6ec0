"""Encoded bytes to arrays: one decoder for every image and mask of the project."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from vae_jax.data.opening import (
    FORMATS,
    WIDE_COLOUR,
    SeveralImagesError,
    load_image,
    open_image,
    raw_mode,
    wide_colour,
)

SMALLEST_SIDE = 32
"""Images with a shorter side than this are refused, whatever the network's size."""

_STRIP_PIXELS = 2**20
_GRAY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F"})
_SIDEWAYS = frozenset({5, 6, 7, 8})
"""The EXIF orientations in which rows are shown as columns."""
_KNOW_WHITE = frozenset({"PPM", "JPEG2000"})
_EXIF_MARKS = (b"eXIf", b"exif", b"xmp")
"""One of them is in a PNG that has an orientation, wherever it has it."""


def decode(
    encoded: bytes, *, channels: int, name: str, bits: int = 16
) -> UInt8[np.ndarray, "height width channel"]:
    """Decodes an image to 8 bits and 1 (gray) or 3 (RGB) channels.

    Palettes are looked up, 16-bit values are scaled to 8 bits, floating-point gray in
    [0, 1] too, the EXIF orientation is applied and an alpha channel is dropped. Of
    pages of several sizes the first is taken, as the others are thumbnails.

    Args:
        encoded: the bytes of the file.
        channels: 1 or 3.
        name: of the image, for messages.
        bits: of 16-bit values, those that are in use (see `bits_used`): white is
            2**bits - 1, and so is what lies above.

    Raises:
        ValueError: the bytes are no whole image, several images, or values whose range
            is not known; the message begins with `name`.
    """
    if channels not in (1, 3):
        raise ValueError(f"decode: channels must be 1 or 3, got {channels}.")
    mode = "L" if channels == 1 else "RGB"
    with one_line("decode", name):
        wide = wide_colour(encoded) if bits < 16 else None
        if wide is None:
            narrow = _to_8_bits(load_image(encoded), bits)
        else:
            narrow = Image.fromarray(_narrow(wide, bits))
        return _pixels(narrow if narrow.mode == mode else narrow.convert(mode))


def bits_used(encoded: bytes, *, name: str) -> int:
    """Of a file of 16-bit values, how many bits its highest one needs, at least 8.

    Cameras of 10, 12 or 14 bits use that many. 0 for files of other values, and for
    formats that say what white is.

    Raises:
        ValueError: the bytes are no whole image; the message begins with `name`.
    """
    with one_line("bits_used", name), open_image(encoded) as image:
        if image.format in _KNOW_WHITE:
            return 0
        if image.mode.startswith("I"):
            highest = int(np.asarray(image).max())
        elif WIDE_COLOUR.fullmatch(raw_mode(image)):
            highest = int(np.asarray(image)[..., :3].max()) << 8  # the upper bytes
        else:
            return 0
    return min(max(8, highest.bit_length()), 16)


class Header(NamedTuple):
    """What an image file says of itself."""

    height: int
    width: int
    channels: int


def read_header(encoded: bytes, *, name: str) -> Header:
    """Reads size and kind as decoded, and checks that the file is whole.

    The checksums of a PNG tell that without decompressing; others are decompressed,
    and so is a PNG that may be turned by its metadata.

    Raises:
        ValueError: the file is truncated or no image; the message begins with `name`.
    """
    with one_line("read_header", name), open_image(encoded) as image:
        height, width = image.height, image.width
        channels = channels_of(image)
        if image.format == "PNG" and not any(mark in encoded for mark in _EXIF_MARKS):
            image.verify()
        else:
            image.load()
            if image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
                height, width = width, height
    return Header(height, width, channels)


def channels_of(image: Image.Image) -> int:
    """Of an image as decoded: 1 where it is gray by its kind, else 3."""
    return 1 if image.mode in _GRAY_MODES else 3


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
    height, width, _ = pixels.shape
    refuse_small(height, width, size, name=name)
    return stretch(pixels, size)


def refuse_small(height: int, width: int, size: int, *, name: str) -> None:
    """Refuses an image too small for a network at `size` pixels, whole or in tiles.

    Raises:
        ValueError: the shorter side is below 32 pixels or a quarter of `size`.
    """
    smallest = smallest_side(size)
    if min(height, width) < smallest:
        raise ValueError(
            f"resize: {name} is {height}x{width} pixels, smaller than the network at "
            f"{size} pixels needs; give images of at least {smallest} pixels a side "
            "or choose a smaller image size."
        )


def stretch(
    pixels: UInt8[np.ndarray, "height width channel"], size: int
) -> UInt8[np.ndarray, "size size channel"]:
    """`resize` of an image however small."""
    channels = pixels.shape[2]
    squeezed = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    resized = squeezed.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(size, size, channels)


def smallest_side(size: int) -> int:
    """Of an image that may be resized to `size`."""
    return max(SMALLEST_SIDE, size // 4)


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


class _OutOfRangeError(ValueError):
    """Nothing is wrong with the file, but what its values mean cannot be told."""


def _pixels(image: Image.Image) -> UInt8[np.ndarray, "height width channel"]:
    """By strips: of 48 million pixels, all the bytes at once would take 144 MB more."""
    rows = max(1, _STRIP_PIXELS // image.width)
    pixels = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        strip = np.asarray(image.crop((0, top, image.width, bottom)))
        pixels[top:bottom] = strip.reshape(bottom - top, *pixels.shape[1:])
    return pixels


@contextlib.contextmanager
def one_line(function: str, name: str) -> Iterator[None]:
    """Turns whatever a decoder says of broken bytes into one line with the name."""
    try:
        yield
    except (_OutOfRangeError, SeveralImagesError) as error:
        raise ValueError(f"{function}: {name} {error}") from error
    except Exception as error:  # decoders raise anything, down to IndexError
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # it says an address in memory
            reason = f"its bytes are of none of the formats {', '.join(FORMATS)}"
        raise ValueError(
            f"{function}: {name} is truncated or no image that can be read ({reason}); "
            "fetch or export this file again."
        ) from error


def _to_8_bits(image: Image.Image, bits: int) -> Image.Image:
    """Maps modes whose plain conversion by PIL clips values or warns."""
    if image.mode.startswith("I"):  # 16-bit gray: I;16, or I where signed or wider
        wide = np.asarray(image)
        _require_range(wide, 65535)
        return Image.fromarray(_narrow(wide, bits))
    if image.mode == "F":
        real = np.asarray(image)
        _require_range(real, 1)
        return Image.fromarray(np.rint(real * 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _narrow(
    wide: Integer[np.ndarray, "*shape"], bits: int
) -> UInt8[np.ndarray, "*shape"]:
    """round(255 value / white) in whole numbers: no copy is wider than 32 bits."""
    white = 2**bits - 1
    scaled = np.minimum(wide, white, dtype=np.uint32, casting="unsafe")
    scaled *= 255
    scaled += white // 2
    scaled //= white
    return scaled.astype(np.uint8)


def _require_range(values: np.ndarray, most: int) -> None:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= most):  # NaN is outside as well
        kind = "floating-point" if most == 1 else "wide"
        raise _OutOfRangeError(
            f"is whole, but its {kind} values lie in [{low:g}, {high:g}], where white "
            f"is not known; scale them to [0, {most}], or export 8 or 16 bits."
        )
