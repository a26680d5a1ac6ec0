"""Shapes and noise to draw images and defects with.

A shape is a coverage, [height width] in [0, 1]: how much of each pixel it covers.
Lengths are in units of the image's shorter side, y downwards, angles in radians.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage

Field = Float[np.ndarray, "height width"]
Pixels = Float[np.ndarray, "height width channel"]
Point = tuple[float, float]

LEAST_COVERAGE = 0.1
"""A pixel that a defect covers by less than this is left as it was."""


class Defective(NamedTuple):
    """An image with a defect, and exactly the pixels that the defect touched."""

    image: Pixels
    mask: Bool[np.ndarray, "height width"]


def grid(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Returns y and x of the pixel centres."""
    side = min(shape)
    y, x = np.meshgrid(
        *((np.arange(count) + 0.5) / side for count in shape), indexing="ij"
    )
    return y, x


def pixel(shape: tuple[int, int]) -> float:
    """Returns the side of a pixel."""
    return 1.0 / min(shape)


def soft_step(distance: Field, width: float) -> Field:
    """Rises from 0 to 1 where a signed distance crosses zero, over `width`."""
    return np.clip(0.5 + distance / width, 0.0, 1.0)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, scale: Point
) -> Field:
    """Gaussian noise of mean 0 that varies over `scale` = (along y, along x)."""
    cells = [
        max(count / min(shape) / length, 0.5)
        for count, length in zip(shape, scale, strict=True)
    ]
    # Three cells more than are seen, from a random offset: no node is ever fixed.
    nodes = rng.normal(size=[int(np.ceil(count)) + 3 for count in cells])
    top, left = rng.uniform(0.5, 1.5, size=2)
    resized = Image.fromarray(nodes.astype(np.float32)).resize(
        (shape[1], shape[0]),
        Image.Resampling.BICUBIC,
        box=(left, top, left + cells[1], top + cells[0]),
    )
    return np.asarray(resized, dtype=np.float64)


def illumination(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Draws a factor near 1: exposure, a gradient in any direction, darker corners."""
    y, x = (axis - 0.5 for axis in grid(shape))
    angle = rng.uniform(0, 2 * np.pi)
    gradient = rng.uniform(0.0, 0.12) * (np.cos(angle) * x + np.sin(angle) * y)
    vignette = -rng.uniform(0.03, 0.12) * (x**2 + y**2)
    return 1.0 + rng.normal(0.0, 0.03) + gradient + vignette


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draws a positive size, small ones as often as large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def blob(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    centre: Point,
    area: float,
    roughness: float = 0.25,
    softness: float = 0.01,
) -> Field:
    """A closed, uneven, somewhat elongated outline of about the given area."""
    y, x = grid(shape)
    elongation = log_uniform(rng, 1.0, 1.8)
    angle = rng.uniform(0, np.pi)
    dy, dx = y - centre[0], x - centre[1]
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / np.sqrt(elongation)
    across = (dy * np.cos(angle) - dx * np.sin(angle)) * np.sqrt(elongation)
    theta = np.arctan2(across, along)
    waves = np.arange(2, 7)[:, None, None]
    phases = rng.uniform(0, 2 * np.pi, size=waves.shape)
    heights = rng.normal(size=waves.shape) / waves
    radius = np.sqrt(area / np.pi) * np.exp(
        roughness * np.sum(heights * np.cos(waves * theta + phases), axis=0)
    )
    return soft_step(radius - np.hypot(along, across), max(softness, pixel(shape)))


def region(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    centre: Point,
    least: float,
    most: float,
    softness: float,
) -> Field:
    """A `blob` of between `least` and `most` of the image."""
    area = log_uniform(rng, least, most)
    return blob(rng, shape, centre=centre, area=area, softness=softness)


def disk(shape: tuple[int, int], *, centre: Point, radius: float) -> Field:
    """A filled circle."""
    y, x = grid(shape)
    return soft_step(radius - np.hypot(y - centre[0], x - centre[1]), pixel(shape))


def wavy_line(
    rng: np.random.Generator,
    *,
    centre: Point,
    length: float,
    angle: float | None = None,
    bend: float = 0.3,
) -> Float[np.ndarray, "point 2"]:
    """Points of a line through `centre` that turns by about `bend` radians."""
    heading = rng.uniform(0, np.pi) if angle is None else angle
    steps = 8
    turns = heading + np.cumsum(rng.normal(0.0, bend / np.sqrt(steps), size=steps))
    moves = np.stack([np.sin(turns), np.cos(turns)], axis=1) * (length / steps)
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    return points - points[steps // 2] + np.asarray(centre)


def stroke(
    shape: tuple[int, int], points: Float[np.ndarray, "point 2"], *, width: float
) -> Field:
    """A line through `points`, at least one pixel wide, thinner towards its ends."""
    y, x = grid(shape)
    count = len(points) - 1
    coverage = np.zeros(shape)
    for index, (start, end) in enumerate(itertools.pairwise(points)):
        (sy, sx), (ey, ex) = start, end
        squared = max((ey - sy) ** 2 + (ex - sx) ** 2, 1e-12)
        along = ((y - sy) * (ey - sy) + (x - sx) * (ex - sx)) / squared
        along = np.clip(along, 0.0, 1.0)
        distance = np.hypot(y - sy - along * (ey - sy), x - sx - along * (ex - sx))
        taper = 1.0 - 0.6 * np.abs(2 * (index + along) / count - 1.0)
        half = np.maximum(width * taper, pixel(shape)) / 2
        coverage = np.maximum(coverage, soft_step(half - distance, pixel(shape)))
    return coverage


def rim(coverage: Field, *, width: float) -> Field:
    """The zone just outside a shape, falling off over `width`."""
    spread = ndimage.gaussian_filter(coverage, width * min(coverage.shape))
    return np.clip(2 * spread, 0.0, 1.0) * (1.0 - coverage)


def apply(image: Pixels, altered: Pixels, coverage: Field) -> Defective:
    """Blends `altered` over the image; the mask is every pixel that it touches."""
    mask = coverage > LEAST_COVERAGE
    weight = np.where(mask, coverage, 0.0)[..., None]
    return Defective(image + weight * (altered - image), mask)
