"""Mirroring and rotation, as far as each category stays normal under them; crops."""

import dataclasses
import math
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The transformations under which a normal image of a category is still normal."""

    mirror_horizontally: bool = False
    mirror_vertically: bool = False
    quarter_turns: bool = False
    rotation_degrees: float = 0.0
    """Rotated by an angle drawn uniformly from -rotation_degrees to it."""
    border: Literal["edge", "reflect"] = "edge"
    """What a rotation brings in from outside: the border pixels (for an object on a
    plain ground) or the mirrored image (for a texture); never black corners."""


NONE = Augmentation()
_MIRRORED = Augmentation(mirror_horizontally=True, mirror_vertically=True)
_ISOTROPIC = Augmentation(True, True, True, 45.0, "reflect")
_WOVEN = Augmentation(True, True, False, 5.0, "reflect")
_ANY_POSE = Augmentation(True, True, False, 180.0, "edge")

AUGMENTATIONS = {
    # Seen along an axis of symmetry.
    "bottle": _ANY_POSE,
    # The colours go round in a fixed order and orientation; a swap is a defect.
    "cable": NONE,
    # Printed; a mirrored or turned print is a defect.
    "capsule": NONE,
    # Warp and weft differ: no quarter turns.
    "carpet": _WOVEN,
    "grid": _WOVEN,
    # Photographed in any pose.
    "hazelnut": _ANY_POSE,
    "leather": _ISOTROPIC,
    # Its outline is chiral: a mirrored nut is the defect "flip".
    "metal_nut": Augmentation(rotation_degrees=180.0, border="edge"),
    # Imprinted.
    "pill": NONE,
    # Any pose. Mirroring turns the thread's hand, invisible at these sizes.
    "screw": _ANY_POSE,
    "tile": _ISOTROPIC,
    # Upright; the handle's end is below.
    "toothbrush": Augmentation(mirror_horizontally=True),
    # A misplaced or turned transistor is a defect.
    "transistor": NONE,
    # The grain is always vertical.
    "wood": Augmentation(True, True, False, 2.0, "reflect"),
    "zipper": _MIRRORED,
    "synthetic_fabric": _WOVEN,
    "synthetic_wood": Augmentation(True, True, False, 2.0, "reflect"),
    # The keyway is above, the pose nearly fixed.
    "synthetic_gear": Augmentation(
        mirror_horizontally=True, rotation_degrees=4.0, border="edge"
    ),
}


def augmentation_for(category: str) -> Augmentation:
    """Returns what the table permits; of an unknown category nothing is assumed."""
    return AUGMENTATIONS.get(category, NONE)


def augment(
    image: UInt8[np.ndarray, "height width channel"],
    augmentation: Augmentation,
    *,
    rng: np.random.Generator,
    crop: int | None = None,
) -> UInt8[np.ndarray, "rows columns channel"]:
    """Draws one transformation and applies it; the image must be square to turn it.

    With `crop` the result is a square of that side from anywhere in the image, cut out
    at its angle: nothing from beyond the border comes in while the turned square fits.

    Raises:
        ValueError: `crop` is larger than the image.
    """
    # Always four draws: one setting does not shift the draws of the next.
    horizontal, vertical = rng.random(2) < 0.5
    turns = int(rng.integers(4))
    degrees = augmentation.rotation_degrees * rng.uniform(-1.0, 1.0)
    if crop is not None:
        image = _cut_around(image, crop, degrees, rng=rng)
    if augmentation.mirror_horizontally and horizontal:
        image = image[:, ::-1]
    if augmentation.mirror_vertically and vertical:
        image = image[::-1]
    if augmentation.quarter_turns:
        image = np.rot90(image, turns)
    if augmentation.rotation_degrees:
        image = rotate(image, degrees, border=augmentation.border)
    if crop is not None:
        top, left = (side // 2 - crop // 2 for side in image.shape[:2])
        image = image[top : top + crop, left : left + crop]
    return np.ascontiguousarray(image)


def rotate(
    image: UInt8[np.ndarray, "height width channel"],
    degrees: float,
    *,
    border: Literal["edge", "reflect"],
) -> UInt8[np.ndarray, "height width channel"]:
    """Rotates about the centre, counter-clockwise, with bilinear interpolation."""
    height, width, channels = image.shape
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    pad_y = _overhang(height, width, cosine, sine)
    pad_x = _overhang(width, height, cosine, sine)
    padded = np.pad(image, ((pad_y, pad_y), (pad_x, pad_x), (0, 0)), mode=border)
    source = Image.fromarray(padded[..., 0] if channels == 1 else padded)
    # PIL asks for the inverse map, from output (x, y) to source (x, y).
    centre_x, centre_y = width / 2, height / 2
    inverse = (
        cosine,
        -sine,
        centre_x + pad_x - cosine * centre_x + sine * centre_y,
        sine,
        cosine,
        centre_y + pad_y - sine * centre_x - cosine * centre_y,
    )
    rotated = source.transform(
        (width, height), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR
    )
    return np.asarray(rotated).reshape(image.shape)


def _cut_around(
    image: UInt8[np.ndarray, "height width channel"],
    crop: int,
    degrees: float,
    *,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "rows columns channel"]:
    """Cuts out what a turned square of side `crop` needs, from anywhere in the image.

    Turning only that and not the whole image is what makes crops of large images fast.
    """
    height, width, _ = image.shape
    if not 1 <= crop <= min(height, width):
        raise ValueError(
            f"augment: crop must be from 1 pixel to the image's side, got {crop} of "
            f"{height}x{width} pixels; take larger images or smaller crops."
        )
    angle = math.radians(degrees)
    reach = math.ceil(crop * (abs(math.cos(angle)) + abs(math.sin(angle))))
    reach += (reach - crop) % 2  # the same centre, to the pixel
    rows, columns = min(reach, height), min(reach, width)
    top, left = rng.integers((height - rows + 1, width - columns + 1))
    return image[top : top + rows, left : left + columns]


def _overhang(side: int, other: int, cosine: float, sine: float) -> int:
    """Pixels by which the rotated frame reaches beyond one side, and one to blend."""
    reach = side * abs(cosine) + other * abs(sine)
    return min(math.ceil(max(reach - side, 0.0) / 2) + 1, side - 1)
