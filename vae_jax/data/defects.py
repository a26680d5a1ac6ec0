"""Artificial defects on normal images, to choose a method without test images.

A figure on these says which of two methods to prefer, not how good one is: real
defects are others. Cut-and-paste follows Li et al., "CutPaste", CVPR 2021; blending
inside thresholded smooth noise follows Zavrtanik et al., "DRAEM", ICCV 2021. Defects
lie on the object, if there is one before a plain background, and most of them are
small: their areas spread evenly over the orders of magnitude.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from vae_jax.data import drawing
from vae_jax.data.drawing import Defective, Pixels

LEAST_CHANGE = 0.04
"""Mean change of brightness inside the mask that counts as visible; where less than a
quarter of it is left over a neighbourhood, nothing shows, and the mask ends."""
NEIGHBOURHOOD = 0.015
"""Of the shorter side: the standard deviation of that neighbourhood."""
LEAST_AREA = 0.001
"""Of the image: below it, a defect is drawn again."""
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
    centre, area = _centre(image, rng), drawing.log_uniform(rng, 0.002, 0.05)
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
        length=drawing.log_uniform(rng, 0.05, 0.5),
        bend=0.5,
    )
    width = drawing.log_uniform(rng, 0.006, 0.03)
    coverage = drawing.stroke(_shape(image), points, width=width)
    paint = rng.choice([0.0, 1.0]) + rng.normal(0.0, 0.1, size=image.shape[-1])
    opacity = rng.uniform(0.2, 0.7)
    return drawing.apply(image, (1 - opacity) * image + opacity * paint, coverage)


def stain(image: Pixels, rng: np.random.Generator) -> Defective:
    """An uneven spot that tints what is below it, darker or brighter."""
    tint = rng.uniform(0.4, 0.9, size=image.shape[-1])
    altered = image * tint if rng.random() < 0.5 else 1.0 - (1.0 - image) * tint
    return drawing.apply(image, altered, _spot(image, rng))


def noise(image: Pixels, rng: np.random.Generator) -> Defective:
    """A spot of rough surface."""
    grain = drawing.smooth_noise(rng, _shape(image), scale=(0.02, 0.02))[..., None]
    strength = rng.uniform(0.05, 0.25)
    return drawing.apply(image, image + strength * grain, _spot(image, rng))


def blend(image: Pixels, rng: np.random.Generator) -> Defective:
    """A foreign, smooth texture shining through where smooth noise is high."""
    field = drawing.smooth_noise(rng, _shape(image), scale=(0.12, 0.12))
    coverage = drawing.soft_step(field - 0.4, 0.2) * (_spot(image, rng, 0.01, 0.12) > 0)
    foreign = [
        0.5 + 0.25 * drawing.smooth_noise(rng, _shape(image), scale=(0.08, 0.08))
        for _ in range(image.shape[-1])
    ]
    opacity = rng.uniform(0.3, 0.8)
    altered = (1 - opacity) * image + opacity * np.stack(foreign, axis=-1)
    return drawing.apply(image, altered, coverage)


def missing(image: Pixels, rng: np.random.Generator) -> Defective:
    """A piece broken off or worn away: what lies behind shows, or a plain surface."""
    altered = np.broadcast_to(_background(image), image.shape)
    return drawing.apply(image, altered, _spot(image, rng))


def warp(image: Pixels, rng: np.random.Generator) -> Defective:
    """A place that was bent or pushed aside: its pixels moved, their values did not."""
    shape = _shape(image)
    y, x = drawing.grid(shape)
    centre, radius = _centre(image, rng), drawing.log_uniform(rng, 0.05, 0.2)
    squared = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / radius**2
    # Steepest at 1.54 / radius: a push of less than 0.65 radius folds nothing over.
    push = rng.uniform(0.2, 0.5) * radius * np.square(np.clip(1.0 - squared, 0.0, 1.0))
    angle = rng.uniform(0, 2 * np.pi)
    side = min(shape)
    rows, columns = np.indices(shape)
    origin = (rows - side * push * np.sin(angle), columns - side * push * np.cos(angle))
    moved = [
        ndimage.map_coordinates(channel, origin, order=1, mode="nearest")
        for channel in np.moveaxis(image, -1, 0)
    ]
    coverage = (push > drawing.pixel(shape) / 2).astype(float)
    return drawing.apply(image, np.stack(moved, axis=-1), coverage)


KINDS: dict[str, Callable[[Pixels, np.random.Generator], Defective]] = {
    "blend": blend,
    "missing": missing,
    "noise": noise,
    "patch": patch,
    "scratch": scratch,
    "stain": stain,
    "warp": warp,
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
        change = np.abs(np.clip(defect.image, 0.0, 1.0) - image).mean(axis=-1)
        around = ndimage.gaussian_filter(change, NEIGHBOURHOOD * min(_shape(image)))
        defect = defect._replace(mask=defect.mask & (around >= LEAST_CHANGE / 4))
        if defect.mask.mean() < LEAST_AREA:
            continue
        visibility = float(change[defect.mask].mean())
        if visibility > most:
            clearest, most = defect, visibility
        if visibility >= LEAST_CHANGE:
            break
    return clearest


def _shape(image: Pixels) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _background(image: Pixels) -> Float[np.ndarray, " channel"]:
    """The median of the outermost pixels."""
    border = [image[0], image[-1], image[1:-1, 0], image[1:-1, -1]]
    return np.median(np.concatenate(border), axis=0)


def _centre(image: Pixels, rng: np.random.Generator) -> drawing.Point:
    """A place not at the very edge, where the image is unlike its border above all.

    That is on the object where there is one, and nearly anywhere on a texture.
    """
    y, x = drawing.grid(_shape(image))
    unlike = np.square(image - _background(image)).mean(axis=-1)
    unlike = ndimage.gaussian_filter(unlike, 0.02 * min(_shape(image)))
    height, width = y[-1, 0], x[0, -1]
    inside = (np.abs(y - height / 2) < 0.4 * height) & (
        np.abs(x - width / 2) < 0.4 * width
    )
    # A flat image is as good anywhere.
    weight = np.where(inside, unlike + 0.05 * unlike.mean() + 1e-12, 0.0)
    chosen = rng.choice(weight.size, p=(weight / weight.sum()).ravel())
    return float(y.flat[chosen]), float(x.flat[chosen])


def _spot(
    image: Pixels, rng: np.random.Generator, least: float = 0.001, most: float = 0.04
) -> drawing.Field:
    return drawing.blob(
        rng,
        _shape(image),
        centre=_centre(image, rng),
        area=drawing.log_uniform(rng, least, most),
        softness=drawing.log_uniform(rng, 0.01, 0.05),
    )
