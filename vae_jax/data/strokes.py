"""Strokes pasted on, and erased from, images of handwriting: defects of known mask.

The ink is bright on a dark ground, as in MNIST, for which nobody published masks.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vae_jax.data import drawing
from vae_jax.data.defects import Artificial

LEAST_CHANGE = 26
"""Of 255: a pixel that would change by less stays as it was."""
LEAST_INK = 128
"""Of 255: a pixel as bright as this was written on."""
LEAST_PIXELS = 8
"""A smaller change is drawn again."""
ATTEMPTS = 200

Values = Float[np.ndarray, "height width"]


def pasted(image: Values, rng: np.random.Generator) -> Values:
    """The image with a pen stroke, as bright as its ink, where most was blank."""
    shape = (image.shape[0], image.shape[1])
    centre = rng.uniform(0.15, 0.85, size=2) * shape / min(shape)
    coverage = _stroke(rng, shape, centre, length=(0.25, 0.5), width=(0.08, 0.14))
    blank = image < LEAST_CHANGE
    if coverage[blank].sum() < 0.7 * coverage.sum():
        return image  # it would follow ink that is there
    return np.maximum(image, image.max() * coverage)


def erased(image: Values, rng: np.random.Generator) -> Values:
    """The image without its ink along a short path through a pixel of ink."""
    inked = np.argwhere(image >= LEAST_INK)
    if not len(inked):
        return image
    shape = (image.shape[0], image.shape[1])
    centre = (inked[rng.integers(len(inked))] + 0.5) / min(shape)
    coverage = _stroke(rng, shape, centre, length=(0.1, 0.3), width=(0.1, 0.2))
    return image * (1.0 - coverage)


KINDS: dict[str, Callable[[Values, np.random.Generator], Values]] = {
    "pasted": pasted,
    "erased": erased,
}


def add_strokes(
    images: UInt8[np.ndarray, "image height width 1"], *, seed: int
) -> Artificial:
    """Pastes a stroke on the first image, erases one from the second, and so on.

    Image i depends on `seed` and i alone. The mask of an image holds exactly the pixels
    that differ, each by at least `LEAST_CHANGE`, and is never empty.

    Raises:
        ValueError: an image without ink to erase, or without a blank place to write on.
    """
    altered, kinds = np.copy(images), []
    masks = np.zeros(images.shape[:3], np.bool_)
    for index, image in enumerate(images):
        kind = list(KINDS)[index % len(KINDS)]
        rng = np.random.default_rng(np.random.SeedSequence((seed, index)))
        pixels, mask = _visible(image[..., 0], kind, rng=rng)
        if not mask.any():
            raise ValueError(
                f"add_strokes: image {index} has no place for a stroke to be {kind}, "
                "wanted bright ink on a dark ground; leave this image out."
            )
        altered[index, ..., 0] = pixels
        masks[index] = mask
        kinds.append(kind)
    return Artificial(altered, masks, tuple(kinds))


def _visible(
    image: UInt8[np.ndarray, "height width"], kind: str, *, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "height width"], Bool[np.ndarray, "height width"]]:
    """Draws until enough pixels have changed, or returns the largest change of all."""
    largest, most = image, np.zeros(image.shape, np.bool_)
    for _ in range(ATTEMPTS):
        drawn = np.rint(KINDS[kind](image.astype(np.float64), rng)).astype(np.uint8)
        mask = np.abs(drawn.astype(int) - image) >= LEAST_CHANGE
        if mask.sum() > most.sum():
            largest, most = np.where(mask, drawn, image), mask
        if most.sum() >= LEAST_PIXELS:
            break
    return largest, most


def _stroke(
    rng: np.random.Generator,
    shape: tuple[int, int],
    centre: Float[np.ndarray, "2"],
    *,
    length: tuple[float, float],
    width: tuple[float, float],
) -> drawing.Field:
    points = drawing.wavy_line(
        rng,
        centre=(float(centre[0]), float(centre[1])),
        length=drawing.log_uniform(rng, *length),
        bend=0.8,
    )
    return drawing.stroke(shape, points, width=drawing.log_uniform(rng, *width))
