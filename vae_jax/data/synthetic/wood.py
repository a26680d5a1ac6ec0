"""A planed board in colour, its grain vertical."""

import dataclasses
from collections.abc import Callable

import numpy as np

from vae_jax.data import drawing
from vae_jax.data.drawing import Defective, Field, Pixels

CHANNELS = 3
NOISE = 0.012
LIGHT = np.array([0.80, 0.62, 0.42])
DARK = np.array([0.50, 0.33, 0.19])


@dataclasses.dataclass(frozen=True)
class Scene:
    """A board: how dark the year rings, pores and flecks make each pixel."""

    rings: Field
    pores: Field
    tint: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.rings.shape
        return height, width


def draw(rng: np.random.Generator, size: int) -> Scene:
    """Draws a board: rings of uneven width that wander, and fine pores along them."""
    shape = (size, size)
    _, x = drawing.grid(shape)
    wander = 0.030 * drawing.smooth_noise(rng, shape, scale=(0.60, 0.30))
    widths = drawing.smooth_noise(rng, shape, scale=(4.0, 0.22))
    phase = (x + wander) * rng.uniform(7.5, 9.5) + 0.45 * widths + rng.uniform(0, 1)
    saw = phase - np.floor(phase)
    # Late wood darkens slowly and ends sharply.
    rings = np.where(saw < 0.85, saw / 0.85, (1.0 - saw) / 0.15) ** 1.6
    streaks = drawing.smooth_noise(rng, shape, scale=(0.35, 0.014))
    pores = drawing.smooth_noise(rng, shape, scale=(0.09, 0.010))
    return Scene(
        rings=0.65 * rings + 0.10 * streaks + 0.15,
        pores=np.clip(pores - 1.1, 0.0, 1.5),
        tint=rng.normal(1.0, 0.03),
    )


def shade(scene: Scene) -> Pixels:
    """Renders the board."""
    dark = np.clip(scene.rings, 0.0, 1.0)[..., None]
    wood = scene.tint * ((1.0 - dark) * LIGHT + dark * DARK)
    return wood * (1.0 - 0.22 * scene.pores)[..., None]


def scratch(scene: Scene, rng: np.random.Generator) -> Defective:
    """A bright scratch across the grain."""
    points = drawing.wavy_line(
        rng,
        centre=_centre(rng),
        length=drawing.log_uniform(rng, 0.15, 0.6),
        angle=rng.uniform(-0.8, 0.8),
        bend=0.2,
    )
    coverage = drawing.stroke(
        scene.shape, points, width=drawing.log_uniform(rng, 0.012, 0.03)
    )
    board = shade(scene)
    return drawing.apply(board, 0.35 * board + np.array([0.56, 0.50, 0.40]), coverage)


def crack(scene: Scene, rng: np.random.Generator) -> Defective:
    """A dark crack along the grain, much like a ring."""
    points = drawing.wavy_line(
        rng,
        centre=_centre(rng),
        length=drawing.log_uniform(rng, 0.2, 0.6),
        angle=np.pi / 2 + rng.normal(0.0, 0.05),
        bend=0.12,
    )
    width = drawing.log_uniform(rng, 0.015, 0.03)
    board = shade(scene)
    return drawing.apply(
        board, 0.35 * board, drawing.stroke(scene.shape, points, width=width)
    )


def wormholes(scene: Scene, rng: np.random.Generator) -> Defective:
    """A few round holes close to each other."""
    centre = np.array(_centre(rng))
    holes = [
        drawing.disk(
            scene.shape,
            centre=tuple(centre + rng.normal(0.0, 0.07, size=2)),
            radius=drawing.log_uniform(rng, 0.015, 0.03),
        )
        for _ in range(rng.integers(2, 6))
    ]
    board = shade(scene)
    return drawing.apply(board, 0.25 * board, np.max(holes, axis=0))


def stain(scene: Scene, rng: np.random.Generator) -> Defective:
    """A dark bluish spill through which the grain shows."""
    board, coverage = shade(scene), _region(rng, scene, 0.008, 0.08, softness=0.03)
    return drawing.apply(board, board * np.array([0.50, 0.52, 0.62]), coverage)


def bleached(scene: Scene, rng: np.random.Generator) -> Defective:
    """A slightly lighter, greyer area: low contrast."""
    board, coverage = shade(scene), _region(rng, scene, 0.02, 0.10, softness=0.06)
    gray = board.mean(axis=-1, keepdims=True)
    return drawing.apply(board, 0.60 * board + 0.40 * gray + 0.06, coverage)


def inlay(scene: Scene, rng: np.random.Generator) -> Defective:
    """A rectangle of the same board set in a quarter turned: the grain is broken."""
    y, x = drawing.grid(scene.shape)
    centre = _centre(rng)
    area, ratio = drawing.log_uniform(rng, 0.015, 0.07), rng.uniform(0.6, 1.6)
    inside = np.minimum(
        np.sqrt(area * ratio) / 2 - np.abs(y - centre[0]),
        np.sqrt(area / ratio) / 2 - np.abs(x - centre[1]),
    )
    turned = dataclasses.replace(
        scene, rings=np.rot90(scene.rings), pores=np.rot90(scene.pores)
    )
    coverage = drawing.soft_step(inside, drawing.pixel(scene.shape))
    return drawing.apply(shade(scene), shade(turned), coverage)


DEFECTS: dict[str, Callable[[Scene, np.random.Generator], Defective]] = {
    "bleached": bleached,
    "crack": crack,
    "inlay": inlay,
    "scratch": scratch,
    "stain": stain,
    "wormholes": wormholes,
}


def _centre(rng: np.random.Generator) -> drawing.Point:
    y, x = rng.uniform(0.18, 0.82, size=2)
    return float(y), float(x)


def _region(
    rng: np.random.Generator, scene: Scene, least: float, most: float, softness: float
) -> Field:
    return drawing.region(
        rng,
        scene.shape,
        centre=_centre(rng),
        least=least,
        most=most,
        softness=softness,
    )
