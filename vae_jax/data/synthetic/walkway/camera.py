"""The camera over the walkway: where it looks, the ground, how parts are painted.

World coordinates are metres: x across the walkway, y up, z along it. Pixels are
(row, column).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from vae_jax.data import drawing
from vae_jax.data.drawing import Field
from vae_jax.data.synthetic.walkway.figures import Part, Point

SHAPE = (158, 238)
FOCAL_LENGTH = 420.0
"""In pixels."""
PITCH, YAW = np.radians(24.0), np.radians(14.0)
EYE = np.array([-5.0, 9.0, 0.0])
NEAR, FAR = 9.5, 40.0
"""The stretch of the walkway on which something can be seen, about."""
HALF_WIDTH = 3.0
"""Of the walkway."""
SUN = np.array([0.55, -1.0, 0.25])
"""The direction in which light falls."""
SHADOW = 0.45
"""The share of light that a shadow takes."""

_FORWARD = np.array(
    [np.sin(YAW) * np.cos(PITCH), -np.sin(PITCH), np.cos(YAW) * np.cos(PITCH)]
)
_RIGHT = np.array([np.cos(YAW), 0.0, -np.sin(YAW)])
_AXES = np.stack([_RIGHT, np.cross(_FORWARD, _RIGHT), _FORWARD])
_CENTRE = np.array(SHAPE) / 2

Solid = Sequence[Part]
Window = tuple[slice, slice]


class Seen(NamedTuple):
    """A picture, and how much of each pixel shows what was to be marked."""

    picture: Field
    marked: Field


class Projected(NamedTuple):
    """Points in the picture, and their distance along the line of sight."""

    pixels: Float[np.ndarray, "point 2"]
    depth: Float[np.ndarray, " point"]


def project(points: Float[np.ndarray, "point 3"]) -> Projected:
    """Where the camera sees points of the world."""
    right, up, depth = _AXES @ (points - EYE).T
    offset = FOCAL_LENGTH * np.stack([-up, right], axis=1) / depth[:, None]
    return Projected(_CENTRE + offset, depth)


def on_ground(pixels: Float[np.ndarray, "pixel 2"]) -> Float[np.ndarray, "pixel 3"]:
    """The points of the ground that the camera sees at pixels."""
    up, right = (_CENTRE - pixels).T
    rays = np.stack([-right, up, np.full(len(up), FOCAL_LENGTH)], axis=1) @ _AXES
    return EYE - rays * (EYE[1] / rays[:, 1:2])


def paint(
    background: Field, solids: Sequence[Solid], *, is_marked: Sequence[bool]
) -> Seen:
    """Paints shadows, then solids from far to near, each over what is behind it."""
    shadow = np.zeros(SHAPE)
    for solid in solids:
        window, covered = _cover([_on_the_ground(part) for part in solid])
        shadow[window] = np.maximum(shadow[window], covered.max(0))
    picture = background * (1.0 - SHADOW * ndimage.gaussian_filter(shadow, 0.7))
    marked = np.zeros(SHAPE)
    for index in _from_far_to_near([_middles(solid).mean(0) for solid in solids]):
        solid = solids[index]
        window, covered = _cover(solid)
        for part in _from_far_to_near(_middles(solid)):
            picture[window] += covered[part] * (solid[part].shade - picture[window])
        if is_marked[index]:
            marked[window] = np.maximum(marked[window], covered.max(0))
        else:
            marked[window] *= 1.0 - covered.max(0)
    return Seen(picture, marked)


def draw_ground(rng: np.random.Generator) -> Field:
    """Draws the walkway between two lawns, without anybody on it."""
    pixels = np.indices(SHAPE).reshape(2, -1).T + 0.5
    x, _, z = on_ground(pixels).T.reshape(3, *SHAPE)
    step = z / FOCAL_LENGTH  # metres that a pixel spans

    def texture(scale: float) -> Field:
        """Noise that varies over so many metres of the ground; mean 0, about 1."""
        nodes = rng.normal(size=(int(60 / scale), int(60 / scale)))
        at = np.stack([z, x + 30.0]) / scale
        return 1.6 * ndimage.map_coordinates(nodes, at, order=3, mode="grid-wrap")

    def line(distance: Field, width: float) -> Field:
        """A line on the ground, fainter where it is narrower than a pixel."""
        inside = drawing.soft_step((width / 2 - np.abs(distance)) / step, 1.0)
        return inside * np.minimum(width / step, 1.0)

    lawn = 0.34 + 0.03 * texture(2.5) + 0.02 * texture(0.4)
    slabs = 0.66 + 0.018 * texture(4.0) + 0.012 * texture(0.4)
    every = 2.4
    slabs -= 0.12 * line((z + every / 2) % every - every / 2, 0.10)
    slabs -= 0.12 * line(x, 0.10)
    edge = HALF_WIDTH - np.abs(x) + 0.015 * texture(1.5)
    ground = lawn + drawing.soft_step(edge / step, 1.0) * (slabs - lawn)
    ground += 0.08 * line(edge, 0.16)
    return ground


def _cover(
    solid: Solid,
) -> tuple[Window, Float[np.ndarray, "part row column"]]:
    """A window of the picture, and how much of its pixels each part covers."""
    pixels = project(np.concatenate([part.points for part in solid])).pixels
    corners = np.split(pixels, np.cumsum([len(part.points) for part in solid])[:-1])
    depths = project(_middles(solid)).depth
    radii = np.array([part.radius for part in solid]) * FOCAL_LENGTH / depths
    window = _window(pixels, margin=radii.max() + 1)
    rows, columns = ((axis + 0.5).astype(np.float32) for axis in np.ogrid[window])
    distance = np.empty((len(solid), rows.size, columns.size), np.float32)
    is_rod = np.array([len(part.points) == 2 for part in solid])
    if is_rod.any():  # nearly all are: all at once
        rods = np.stack([each for each in corners if len(each) == 2])
        ends = rods.astype(np.float32)  # several times as fast
        distance[is_rod] = _distance_from_rods(ends, rows, columns)
    for index in np.flatnonzero(~is_rod):
        distance[index] = _distance_from_face(corners[index], rows, columns)
    half = (radii + 0.5).astype(np.float32)[:, None, None]
    return window, np.clip(half - distance, 0.0, 1.0)


def _window(pixels: Float[np.ndarray, "point 2"], *, margin: float) -> Window:
    """The part of the picture that holds some points and a margin."""
    low = np.floor(pixels.min(0) - margin).astype(int).clip(0, SHAPE)
    high = np.ceil(pixels.max(0) + margin).astype(int).clip(0, SHAPE)
    return slice(low[0], high[0]), slice(low[1], high[1])


def _distance_from_rods(
    ends: Float[np.ndarray, "rod 2 2"],
    rows: Float[np.ndarray, "row 1"],
    columns: Float[np.ndarray, "1 column"],
) -> Float[np.ndarray, "rod row column"]:
    """Of each pixel from the lines between two pixels."""
    row, column = ends[:, 0].T[:, :, None, None]
    down, across = (ends[:, 1] - ends[:, 0]).T[:, :, None, None]
    squared = np.maximum(down**2 + across**2, 1e-12)
    along = ((rows - row) * down + (columns - column) * across) / squared
    along = np.clip(along, 0.0, 1.0)
    below, right = rows - row - along * down, columns - column - along * across
    return np.sqrt(below * below + right * right)


def _distance_from_face(
    corners: Float[np.ndarray, "corner 2"],
    rows: Float[np.ndarray, "row 1"],
    columns: Float[np.ndarray, "1 column"],
) -> Float[np.ndarray, "row column"]:
    """Of each pixel from a convex polygon; negative inside, exact next to an edge."""
    edges = np.roll(corners, -1, axis=0) - corners
    turns = np.sign(np.sum(corners[:, 1] * edges[:, 0] - corners[:, 0] * edges[:, 1]))
    row, column = corners.T[:, :, None, None]
    down, across = edges.T[:, :, None, None]
    beyond = turns * ((columns - column) * down - (rows - row) * across)
    return (beyond / np.maximum(np.hypot(down, across), 1e-6)).max(0)


def _on_the_ground(part: Part) -> Part:
    """The part as the sun throws it on the ground."""
    fall = part.points[:, 1:2] / SUN[1]
    return part._replace(points=part.points - fall * SUN)


def _middles(solid: Solid) -> Float[np.ndarray, "part 3"]:
    counts = np.array([len(part.points) for part in solid])
    points = np.concatenate([part.points for part in solid])
    starts = np.cumsum(counts) - counts
    return np.add.reduceat(points, starts) / counts[:, None]


def _from_far_to_near(
    points: Sequence[Point] | Float[np.ndarray, "point 3"],
) -> list[int]:
    return np.argsort(-project(np.asarray(points)).depth).tolist()
