"""Artificial defects on normal images, to choose a method without test images.

A figure on these says which of two methods to prefer, not how good one is: real
defects are others. Cut-and-paste follows Li et al., "CutPaste", CVPR 2021; blending
inside thresholded smooth noise follows Zavrtanik et al., "DRAEM", ICCV 2021.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vae_jax.data import drawing
from vae_jax.data.drawing import Defective, Pixels

LEAST_CHANGE = 0.04
"""Mean change of brightness inside the mask that counts as visible."""
ATTEMPTS = 10

Images = (
    UInt8[np.ndarray, "image height width channel"]
    | Float[np.ndarray, "image height width channel"]
)


class Artificial(NamedTuple):
    """Images with one artificial defect each, of the same dtype as came in."""

    images: Images
    masks: Bool[np.ndarray, "image height width"]
    kinds: tuple[str, ...]


def patch(image: Pixels, rng: np.random.Generator) -> Defective:
    """A rectangle from elsewhere in the image, mirrored or not, brighter or darker."""
    y, x = drawing.grid(_shape(image))
    centre, area = _centre(image, rng), drawing.log_uniform(rng, 0.01, 0.08)
    ratio = drawing.log_uniform(rng, 0.4, 2.5)
    inside = np.minimum(
        np.sqrt(area * ratio) / 2 - np.abs(y - centre[0]),
        np.sqrt(area / ratio) / 2 - np.abs(x - centre[1]),
    )
    shift = [int(rng.integers(count // 8, count)) for count in _shape(image)]
    elsewhere = np.roll(image, shift, axis=(0, 1))[:: rng.choice([-1, 1])]
    altered = elsewhere * rng.uniform(0.85, 1.15)
    coverage = drawing.soft_step(inside, drawing.pixel(_shape(image)))
    return drawing.apply(image, altered, coverage)


def scratch(image: Pixels, rng: np.random.Generator) -> Defective:
    """A thin line, brighter or darker than what it crosses."""
    points = drawing.wavy_line(
        rng,
        centre=_centre(image, rng),
        length=drawing.log_uniform(rng, 0.1, 0.5),
        bend=0.5,
    )
    width = drawing.log_uniform(rng, 0.012, 0.04)
    coverage = drawing.stroke(_shape(image), points, width=width)
    paint = rng.choice([0.0, 1.0]) + rng.normal(0.0, 0.1, size=image.shape[-1])
    return drawing.apply(image, 0.4 * image + 0.6 * paint, coverage)


def stain(image: Pixels, rng: np.random.Generator) -> Defective:
    """An uneven spot that tints what is below it."""
    tint = rng.uniform(0.4, 0.9, size=image.shape[-1])
    return drawing.apply(image, image * tint, _spot(image, rng))


def noise(image: Pixels, rng: np.random.Generator) -> Defective:
    """A spot of rough surface."""
    grain = drawing.smooth_noise(rng, _shape(image), scale=(0.02, 0.02))[..., None]
    strength = rng.uniform(0.10, 0.25)
    return drawing.apply(image, image + strength * grain, _spot(image, rng))


def blend(image: Pixels, rng: np.random.Generator) -> Defective:
    """A foreign, smooth texture shining through where smooth noise is high."""
    field = drawing.smooth_noise(rng, _shape(image), scale=(0.12, 0.12))
    coverage = drawing.soft_step(field - 0.4, 0.2) * (_spot(image, rng, 0.03, 0.12) > 0)
    foreign = [
        0.5 + 0.25 * drawing.smooth_noise(rng, _shape(image), scale=(0.08, 0.08))
        for _ in range(image.shape[-1])
    ]
    opacity = rng.uniform(0.3, 0.8)
    altered = (1 - opacity) * image + opacity * np.stack(foreign, axis=-1)
    return drawing.apply(image, altered, coverage)


KINDS: dict[str, Callable[[Pixels, np.random.Generator], Defective]] = {
    "blend": blend,
    "noise": noise,
    "patch": patch,
    "scratch": scratch,
    "stain": stain,
}


def add_defects(images: Images, *, seed: int) -> Artificial:
    """Gives each image one visible defect, the kinds in turn.

    Image i depends on `seed` and i alone. Pixels outside the masks are unchanged.

    Args:
        images: 8-bit, or float in [0, 1]; the result has the same dtype.
        seed: of all draws.

    Raises:
        ValueError: float images outside [0, 1] or not finite.
    """
    is_integer = images.dtype == np.uint8
    scale = 255.0 if is_integer else 1.0
    if not is_integer and not ((images >= 0) & (images <= 1)).all():
        raise ValueError(
            "add_defects: float images must be in [0, 1], got "
            f"[{images.min():g}, {images.max():g}]."
        )
    altered, masks, kinds = np.copy(images), [], []
    for index, image in enumerate(images):
        kind = sorted(KINDS)[index % len(KINDS)]
        rng = np.random.default_rng(np.random.SeedSequence((seed, index)))
        defect = visible_defect(image.astype(np.float64) / scale, kind, rng=rng)
        pixels = scale * np.clip(defect.image, 0.0, 1.0)
        pixels = np.rint(pixels) if is_integer else pixels
        altered[index][defect.mask] = pixels[defect.mask].astype(images.dtype)
        masks.append(defect.mask)
        kinds.append(kind)
    return Artificial(altered, np.stack(masks), tuple(kinds))


def visible_defect(image: Pixels, kind: str, *, rng: np.random.Generator) -> Defective:
    """Draws a kind of defect until it can be seen, or returns the clearest of ten.

    Background pasted on background, say, would be a mask over nothing.
    """
    clearest, most = Defective(image, np.zeros(_shape(image), np.bool_)), -1.0
    for _ in range(ATTEMPTS):
        defect = KINDS[kind](image, rng)
        if not defect.mask.any():
            continue
        change = np.abs(np.clip(defect.image, 0.0, 1.0) - image).mean(axis=-1)
        visibility = float(change[defect.mask].mean())
        if visibility > most:
            clearest, most = defect, visibility
        if visibility >= LEAST_CHANGE:
            break
    return clearest


def _shape(image: Pixels) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _centre(image: Pixels, rng: np.random.Generator) -> drawing.Point:
    height, width = _shape(image)
    y, x = rng.uniform(0.1, 0.9, size=2) * (height, width) / min(height, width)
    return float(y), float(x)


def _spot(
    image: Pixels, rng: np.random.Generator, least: float = 0.005, most: float = 0.06
) -> drawing.Field:
    return drawing.blob(
        rng,
        _shape(image),
        centre=_centre(image, rng),
        area=drawing.log_uniform(rng, least, most),
        softness=drawing.log_uniform(rng, 0.01, 0.05),
    )
