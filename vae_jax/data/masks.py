"""Masks as people paint them: what is a defect there, or why that cannot be told."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image
from scipy import ndimage

from vae_jax.data.images import decode, one_line
from vae_jax.data.opening import load_image

BLACK = 31
WHITE = 224
"""Up to BLACK and from WHITE on a gray value is black or white: JPEG blurs both."""
EDGE = 2
"""Pixels from a white one within which a value between the two smooths its edge."""


class ReadMask(NamedTuple):
    """What a mask says, and how it says it."""

    defect: Bool[np.ndarray, "height width"]
    is_black_and_white: bool
    """False where another colour or transparency tells the defect."""


def decode_mask(encoded: bytes, *, name: str) -> Bool[np.ndarray, "height width"]:
    """Decodes a mask at its own size, see `read_mask`."""
    return read_mask(encoded, name=name).defect


def read_mask(encoded: bytes, *, name: str) -> ReadMask:
    """Decodes a mask at its own size.

    Of black and one other colour, whatever it is, the other marks the defect; what is
    transparent counts as black. Else black and white are wanted, with grays between
    them at edges alone, and a defect exceeds 127.

    Raises:
        ValueError: the bytes are no whole image; grays or colours of which it cannot be
            told what they stand for; or a mask that seems to be inverted, as it marks
            all corners and more than half. The message begins with `name`.
    """
    with one_line("decode_mask", name):
        image = load_image(encoded)
        values = _values(image)
    painted = np.asarray(values.any(-1))
    if (values[painted] == values[painted][:1]).all():  # an empty one is, too
        is_white = image.mode == "1" or (image.mode == "L" and values.max() in (0, 255))
        read = ReadMask(painted, is_white)
    else:
        read = ReadMask(_of_grays(values, encoded, name), not _has_alpha(image))
    _refuse_inverted(read.defect, name)
    return read


def _has_alpha(image: Image.Image) -> bool:
    return image.has_transparency_data


def _values(image: Image.Image) -> Shaped[np.ndarray, "height width channel"]:
    """What is painted; nothing, that is 0, where it is transparent."""
    if _has_alpha(image):
        pixels = np.asarray(image.convert("RGBA"))
        covered = pixels[..., :3].astype(np.uint16) * pixels[..., 3:]
        return ((covered + 127) // 255).astype(np.uint8)
    if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
        return np.asarray(image)[..., None]
    return np.asarray(image.convert("RGB"))


def _of_grays(
    values: Shaped[np.ndarray, "height width channel"], encoded: bytes, name: str
) -> Bool[np.ndarray, "height width"]:
    """Of black and white with smooth edges."""
    if values.dtype != np.uint8:  # wide or floating-point gray
        values = decode(encoded, channels=1, name=name)
    low, high = values.min(-1), values.max(-1)
    if (high - low).max() > BLACK:
        raise ValueError(
            f"decode_mask: {name} holds several colours, and what each stands for "
            "cannot be told; paint defects white and all else black."
        )
    _refuse_plain_grays(high, name)
    return high > 127


def _refuse_plain_grays(gray: UInt8[np.ndarray, "height width"], name: str) -> None:
    white = gray >= WHITE
    square = np.ones((2 * EDGE + 1, 2 * EDGE + 1), bool)
    near = np.asarray(ndimage.binary_dilation(white, square), bool)
    stray = gray[(gray > BLACK) & ~near]
    if stray.size:
        raise ValueError(
            f"decode_mask: {name} has {stray.size} pixels that are neither black nor "
            f"white nor at an edge, of values {stray.min()} to {stray.max()}; paint "
            "defects white and all else black."
        )


def _refuse_inverted(mask: Bool[np.ndarray, "height width"], name: str) -> None:
    if mask[:: len(mask) - 1 or 1, :: mask.shape[1] - 1 or 1].all():
        share = mask.mean()
        if share > 0.5:
            raise ValueError(
                f"decode_mask: {name} marks all four corners and {share:.0%} of the "
                "image, as an inverted mask does; paint defects white on black, or if "
                "it is right, one corner black."
            )
