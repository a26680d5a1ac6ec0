"""A turned steel gear on a plain ground, gray, in nearly the same pose each time."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from vae_jax.data import drawing
from vae_jax.data.drawing import Defective, Field, Pixels

CHANNELS = 1
NOISE = 0.012
TEETH = 16
ROOT_RADIUS, TIP_RADIUS = 0.335, 0.415
BORE_RADIUS, KEYWAY_WIDTH, KEYWAY_DEPTH = 0.105, 0.055, 0.040
HOLES, HOLE_RADIUS, HOLE_CIRCLE = 5, 0.036, 0.215
UP = -np.pi / 2
LEAST_CHANGE = 0.03
"""Of brightness: a smaller change, deep in a shadow, is no part of a defect."""


@dataclasses.dataclass(frozen=True)
class Scene:
    """One gear as photographed: its pose, its surface, its light, its geometry."""

    shape: tuple[int, int]
    centre: drawing.Point
    turn: float
    turned_marks: Float[np.ndarray, " radius"]
    grain: Field
    light: float
    metal: float
    ground: Field
    keyway: float = UP
    """Direction of the keyway in the gear's own frame."""
    open_holes: tuple[bool, ...] = (True,) * HOLES
    tooth: int = 0
    """The tooth that `bend` and `length` are about."""
    bend: float = 0.0
    length: float = 1.0


def draw(rng: np.random.Generator, size: int) -> Scene:
    """Draws a gear: slightly moved and turned, its own turning marks and lighting."""
    shape = (size, size)
    y, x = 0.5 + rng.normal(0.0, 0.008, size=2)
    ground = 0.80 + 0.01 * drawing.smooth_noise(rng, shape, scale=(0.4, 0.4))
    return Scene(
        shape=shape,
        centre=(float(y), float(x)),
        turn=np.radians(rng.uniform(-3.0, 3.0)),
        turned_marks=ndimage.gaussian_filter1d(rng.normal(size=256), 1.5),
        grain=drawing.smooth_noise(rng, shape, scale=(0.012, 0.012)),
        light=rng.normal(0.6, 0.15),
        metal=rng.normal(0.50, 0.015),
        ground=ground,
    )


def shade(scene: Scene) -> Pixels:
    """Renders the gear, its shadow and the ground."""
    solid = _solid(scene)
    radius, theta = _polar(scene)
    marks = np.interp(radius, np.linspace(0.0, 0.6, 256), scene.turned_marks)
    # Turning marks reflect in two opposite sectors, as on the face of a record.
    sheen = 0.07 * np.cos(2 * (theta + scene.turn - scene.light))
    face = scene.metal + sheen + 0.035 * marks + 0.012 * scene.grain
    # The chamfer catches light on the side that faces the lamp, upper left.
    blurred = ndimage.gaussian_filter(solid, 0.010 * scene.shape[0])
    slope_y, slope_x = np.gradient(blurred)
    face = face + 1.1 * (slope_y + slope_x)
    shadow = ndimage.gaussian_filter(
        np.roll(solid, (scene.shape[0] // 40, scene.shape[1] // 40), axis=(0, 1)),
        0.015 * scene.shape[0],
    )
    ground = scene.ground * (1.0 - 0.35 * shadow)
    return (ground + solid * (face - ground))[..., None]


def broken_tooth(scene: Scene, rng: np.random.Generator) -> Defective:
    """A tooth is missing, wholly or in part."""
    tooth = int(rng.integers(TEETH))
    broken = dataclasses.replace(scene, tooth=tooth, length=rng.uniform(0.0, 0.5))
    return _changed(scene, broken)


def bent_tooth(scene: Scene, rng: np.random.Generator) -> Defective:
    """A tooth is pushed to one side."""
    bend = rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 0.6)
    return _changed(
        scene, dataclasses.replace(scene, tooth=int(rng.integers(TEETH)), bend=bend)
    )


def filled_hole(scene: Scene, rng: np.random.Generator) -> Defective:
    """One of the holes was not drilled."""
    filled = int(rng.integers(HOLES))
    return _changed(
        scene,
        dataclasses.replace(
            scene, open_holes=tuple(hole != filled for hole in range(HOLES))
        ),
    )


def turned_keyway(scene: Scene, rng: np.random.Generator) -> Defective:
    """The keyway is in the wrong place: each part is normal, their order is not."""
    turn = rng.choice([-1.0, 1.0]) * rng.uniform(np.pi / 4, np.pi)
    return _changed(scene, dataclasses.replace(scene, keyway=UP + turn))


def scratch(scene: Scene, rng: np.random.Generator) -> Defective:
    """A bright scratch on the face."""
    points = drawing.wavy_line(
        rng,
        centre=_on_face(scene, rng),
        length=drawing.log_uniform(rng, 0.08, 0.3),
    )
    width = drawing.log_uniform(rng, 0.012, 0.025)
    coverage = drawing.stroke(scene.shape, points, width=width) * _solid(scene)
    gear = shade(scene)
    return drawing.apply(gear, 0.3 * gear + 0.58, coverage)


def rust(scene: Scene, rng: np.random.Generator) -> Defective:
    """A dark mottled patch on the face."""
    coverage = drawing.blob(
        rng,
        scene.shape,
        centre=_on_face(scene, rng),
        area=drawing.log_uniform(rng, 0.004, 0.03),
        roughness=0.45,
        softness=0.02,
    )
    mottled = 0.55 + 0.10 * drawing.smooth_noise(rng, scene.shape, scale=(0.02, 0.02))
    gear = shade(scene)
    return drawing.apply(gear, gear * mottled[..., None], coverage * _solid(scene))


def smudge(scene: Scene, rng: np.random.Generator) -> Defective:
    """A faint greasy trace on the face: low contrast."""
    coverage = drawing.blob(
        rng,
        scene.shape,
        centre=_on_face(scene, rng),
        area=drawing.log_uniform(rng, 0.01, 0.05),
        softness=0.05,
    )
    gear = shade(scene)
    return drawing.apply(gear, 0.8 * gear + 0.05, coverage * _solid(scene))


DEFECTS: dict[str, Callable[[Scene, np.random.Generator], Defective]] = {
    "bent_tooth": bent_tooth,
    "broken_tooth": broken_tooth,
    "filled_hole": filled_hole,
    "rust": rust,
    "scratch": scratch,
    "smudge": smudge,
    "turned_keyway": turned_keyway,
}


def _polar(scene: Scene) -> tuple[Field, Field]:
    """Radius and angle in the gear's own frame."""
    y, x = drawing.grid(scene.shape)
    dy, dx = y - scene.centre[0], x - scene.centre[1]
    return np.hypot(dy, dx), np.arctan2(dy, dx) - scene.turn


def _solid(scene: Scene) -> Field:
    """How much of each pixel is metal."""
    radius, theta = _polar(scene)
    soft = drawing.pixel(scene.shape)
    solid = drawing.soft_step(_outline(scene, radius, theta) - radius, soft)
    solid *= drawing.soft_step(radius - BORE_RADIUS, soft)
    along = radius * np.cos(theta - scene.keyway)
    across = np.abs(radius * np.sin(theta - scene.keyway))
    slot = np.minimum(KEYWAY_WIDTH / 2 - across, BORE_RADIUS + KEYWAY_DEPTH - along)
    solid *= 1.0 - drawing.soft_step(np.minimum(slot, along), soft)
    for hole in np.flatnonzero(scene.open_holes):
        angle = UP + 2 * np.pi * hole / HOLES
        dy = radius * np.sin(theta) - HOLE_CIRCLE * np.sin(angle)
        dx = radius * np.cos(theta) - HOLE_CIRCLE * np.cos(angle)
        solid *= 1.0 - drawing.soft_step(HOLE_RADIUS - np.hypot(dy, dx), soft)
    return solid


def _outline(scene: Scene, radius: Field, theta: Field) -> Field:
    """Distance of the toothed edge from the centre in each direction."""
    phase = TEETH * theta / (2 * np.pi) - scene.tooth
    # From the tooth in question, in pitches, nearest way round.
    offset = (phase + TEETH / 2) % TEETH - TEETH / 2
    rise = np.clip((radius - ROOT_RADIUS) / (TIP_RADIUS - ROOT_RADIUS), 0.0, 1.0)
    leaning = offset - scene.bend * rise
    own = np.where(np.abs(leaning) < 0.5, scene.length * _profile(leaning), 0.0)
    others = np.where(np.abs(offset) < 0.5, 0.0, _profile(offset))
    return ROOT_RADIUS + (TIP_RADIUS - ROOT_RADIUS) * np.maximum(own, others)


def _profile(pitches: Field) -> Field:
    """Height of the teeth, from 0 in a gap to 1 at a tip."""
    return 0.5 + 0.5 * np.tanh(3.0 * np.cos(2 * np.pi * pitches))


def _changed(scene: Scene, other: Scene) -> Defective:
    """Compares two geometries; the mask is where the change can be seen, closed."""
    before, after = shade(scene), shade(other)
    seen = np.abs(after - before)[..., 0] > LEAST_CHANGE
    closing = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 2)
    touched = np.logical_or(ndimage.binary_closing(seen, closing), seen)
    return drawing.apply(before, after, touched.astype(float))


def _on_face(scene: Scene, rng: np.random.Generator) -> drawing.Point:
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.17, 0.30)
    y, x = scene.centre
    return float(y + radius * np.sin(angle)), float(x + radius * np.cos(angle))
