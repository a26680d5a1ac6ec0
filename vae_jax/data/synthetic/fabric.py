"""A plain weave in colour: blue warp, sand-coloured weft."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from vae_jax.data import drawing
from vae_jax.data.drawing import Defective, Field, Pixels

CHANNELS = 3
NOISE = 0.015
THREADS = 15.0
"""Across the image."""
WARP_COLOUR = np.array([0.30, 0.40, 0.56])
WEFT_COLOUR = np.array([0.72, 0.66, 0.54])


@dataclasses.dataclass(frozen=True)
class Scene:
    """A piece of cloth: where each pixel lies in units of threads, and how it looks."""

    warp: Field
    weft: Field
    warp_tone: Float[np.ndarray, " thread"]
    weft_tone: Float[np.ndarray, " thread"]
    fibres: Field

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.warp.shape
        return height, width


def draw(rng: np.random.Generator, size: int) -> Scene:
    """Draws a piece of cloth: a little turned, stretched and uneven."""
    shape = (size, size)
    y, x = drawing.grid(shape)
    angle = np.radians(rng.uniform(-2.0, 2.0))
    pitch = THREADS * rng.uniform(0.98, 1.02)
    start = rng.uniform(3.0, 5.0, size=2)
    wander = [0.12 * drawing.smooth_noise(rng, shape, scale=(0.35, 0.35)) for _ in "yx"]
    return Scene(
        warp=start[0] + pitch * (np.cos(angle) * x - np.sin(angle) * y) + wander[0],
        weft=start[1] + pitch * (np.cos(angle) * y + np.sin(angle) * x) + wander[1],
        warp_tone=rng.normal(1.0, 0.06, size=int(2 * THREADS)),
        weft_tone=rng.normal(1.0, 0.06, size=int(2 * THREADS)),
        fibres=0.04 * drawing.smooth_noise(rng, shape, scale=(0.012, 0.012)),
    )


def shade(scene: Scene, *, threads_per_float: int = 1) -> Pixels:
    """Renders the cloth; every thread passes over and under `threads_per_float`."""
    column, row = np.floor(scene.warp), np.floor(scene.weft)
    from_warp, from_weft = scene.warp - column - 0.5, scene.weft - row - 0.5
    over = (column // threads_per_float + row // threads_per_float) % 2 == 0
    across = np.where(over, from_warp, from_weft)
    along = np.where(over, from_weft, from_warp)
    # A round thread that dives at both ends of what is seen of it.
    relief = np.sqrt(1.0 - 3.2 * across**2) * (1.0 - 0.9 * along**2)
    tone = np.where(
        over, _of_thread(scene.warp_tone, column), _of_thread(scene.weft_tone, row)
    )
    colour = np.where(over[..., None], WARP_COLOUR, WEFT_COLOUR)
    return colour * (tone * (0.45 + 0.6 * relief) + scene.fibres)[..., None]


def stain(scene: Scene, rng: np.random.Generator) -> Defective:
    """A dark brown spill."""
    cloth, coverage = shade(scene), _region(rng, scene, 0.006, 0.06, softness=0.03)
    return drawing.apply(cloth, cloth * np.array([0.62, 0.50, 0.40]), coverage)


def faded(scene: Scene, rng: np.random.Generator) -> Defective:
    """A slightly bleached area: low contrast."""
    cloth, coverage = shade(scene), _region(rng, scene, 0.02, 0.10, softness=0.06)
    return drawing.apply(cloth, 0.85 * cloth + 0.12, coverage)


def hole(scene: Scene, rng: np.random.Generator) -> Defective:
    """A dark hole with a frayed, bright rim."""
    opening = _region(rng, scene, 0.003, 0.025, softness=0.01)
    fray = drawing.rim(opening, width=0.012)
    ground = np.broadcast_to(np.array([0.10, 0.09, 0.09]), (*scene.shape, 3))
    edge = np.array([0.78, 0.75, 0.70]) * (1 + 4 * scene.fibres)[..., None]
    coverage = np.maximum(opening, 0.7 * fray)
    inside = (opening > 0.5)[..., None]
    return drawing.apply(shade(scene), np.where(inside, ground, edge), coverage)


def cut(scene: Scene, rng: np.random.Generator) -> Defective:
    """A thin slit, dark, in any direction."""
    points = drawing.wavy_line(
        rng,
        centre=_centre(rng, margin=0.2),
        length=drawing.log_uniform(rng, 0.15, 0.5),
    )
    width = drawing.log_uniform(rng, 0.016, 0.035)
    cloth = shade(scene)
    return drawing.apply(
        cloth, 0.3 * cloth, drawing.stroke(scene.shape, points, width=width)
    )


def wrong_thread(scene: Scene, rng: np.random.Generator) -> Defective:
    """One thread of another colour, visible where it passes over."""
    is_warp = rng.random() < 0.5
    across, along = (scene.warp, scene.weft)[:: 1 if is_warp else -1]
    thread = np.floor(across[scene.shape[0] // 2, scene.shape[1] // 2])
    thread += rng.integers(-5, 6)
    first = np.floor(along.min()) + rng.integers(1, 5)
    last = first + rng.integers(5, 11)
    over = (np.floor(scene.warp) + np.floor(scene.weft)) % 2 == (0 if is_warp else 1)
    here = (np.floor(across) == thread) & (along >= first) & (along < last) & over
    brightness = shade(scene).max(axis=-1, keepdims=True)
    red = brightness * np.array([1.15, 0.40, 0.30])
    return drawing.apply(shade(scene), red, here.astype(float))


def pulled(scene: Scene, rng: np.random.Generator) -> Defective:
    """Threads pushed aside: the weave bends, colours stay."""
    coverage = _region(rng, scene, 0.02, 0.08, softness=0.14)
    push = coverage**2 * (3.0 - 2.0 * coverage)
    angle = rng.uniform(0, 2 * np.pi)
    moved = dataclasses.replace(
        scene,
        warp=scene.warp + 1.3 * np.cos(angle) * push,
        weft=scene.weft + 1.3 * np.sin(angle) * push,
    )
    return drawing.apply(shade(scene), shade(moved), np.sign(coverage - 0.1))


def misweave(scene: Scene, rng: np.random.Generator) -> Defective:
    """Threads that cross in pairs: same colours, same brightness, another structure."""
    coverage = _region(rng, scene, 0.02, 0.08, softness=0.01)
    paired = shade(scene, threads_per_float=2)
    return drawing.apply(shade(scene), paired, np.sign(coverage))


DEFECTS: dict[str, Callable[[Scene, np.random.Generator], Defective]] = {
    "cut": cut,
    "faded": faded,
    "hole": hole,
    "misweave": misweave,
    "pulled": pulled,
    "stain": stain,
    "wrong_thread": wrong_thread,
}


def _of_thread(
    tone: Float[np.ndarray, " thread"], index: Float[np.ndarray, "height width"]
) -> Field:
    return tone[np.clip(index.astype(int), 0, len(tone) - 1)]


def _centre(rng: np.random.Generator, *, margin: float) -> drawing.Point:
    y, x = rng.uniform(margin, 1 - margin, size=2)
    return float(y), float(x)


def _region(
    rng: np.random.Generator, scene: Scene, least: float, most: float, softness: float
) -> Field:
    return drawing.region(
        rng,
        scene.shape,
        centre=_centre(rng, margin=0.15),
        least=least,
        most=most,
        softness=softness,
    )
