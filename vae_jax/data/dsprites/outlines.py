"""The outlines of square, ellipse and heart, and where they cut the rows of an image.

Fitted to images that the authors of dSprites published; square and ellipse agree with
them but for a pixel in some thousand, the heart but for one in a thousand.

The centre of a sprite moves in steps of 32/31 pixels, so whatever the position, the
centres of pixels lie on one lattice around it, 31 points to a pixel. A row of that
lattice is inside an outline from one point to another, or along two such stretches.
Kept as whole numbers, they make the same images with any array module on any device:
no rounding, and no order of operations, decides on a pixel.
"""

import functools
import itertools

import numpy as np
from jaxtyping import Complex, Float, Int16

SCALES = np.linspace(0.5, 1, 6)
ORIENTATIONS = np.linspace(0, 2 * np.pi, 40)
"""Counter-clockwise, in radians. The last is the first again."""

FINENESS = 31
"""Points of the lattice to a pixel."""
RADIUS = 422
"""In points: the corner of the largest square is 13.57 pixels from its centre."""

HALF_SIDE = 9.598
"""Of the square, in pixels at scale 1. At 9.6, the side being 0.3 of the canvas, it
would take in rows that the published images leave out."""
SEMI_AXES = 12.765, 7.215

_VERTICES = 2**16
"""So many that a curve is nowhere more than 5e-8 pixels from its polygon, and that no
edge passes more than one row of the lattice."""

Polygon = Complex[np.ndarray, " vertex"]


def square() -> Polygon:
    """The outline at scale 1, in pixels: to the right + i down."""
    corners = HALF_SIDE * np.array([1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j, 1 + 1j])
    return np.interp(np.arange(0, 4, 4 / _VERTICES), np.arange(5), corners)


def ellipse() -> Polygon:
    """See `square`. The long axis lies to the right."""
    t = _turn()
    return SEMI_AXES[0] * np.cos(t) + 1j * SEMI_AXES[1] * np.sin(t)


def heart() -> Polygon:
    """See `square`. Upright; a classic curve, 19.2 pixels wide."""
    t = _turn()
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return 0.6 * 16 * np.sin(t) ** 3 - 1j * (0.662 * y + 1.44)


@functools.cache
def stretches() -> Int16[np.ndarray, "sprite row 4"]:
    """What is inside each sprite: on a row, from a to b - 1 and from c to d - 1.

    Sprites are counted by shape, scale and orientation. Point p of a row is (p - 1/2) /
    31 pixels to the right of the centre, and row r is (r - RADIUS - 1/2) / 31 pixels
    below it; the first and the last row are empty.
    """
    turns = np.exp(-1j * ORIENTATIONS)
    turns[-1] = turns[0]
    outlines = square(), ellipse(), heart()
    sprites = itertools.product(outlines, SCALES, turns)
    return np.stack(
        [_stretches(outline * scale * turn) for outline, scale, turn in sprites]
    )


def _stretches(outline: Polygon) -> Int16[np.ndarray, "row 4"]:
    """Of one sprite: rows enter and leave it in turn where they cross its outline."""
    points = FINENESS * np.real(outline) + 0.5
    rows = FINENESS * np.imag(outline) + 0.5
    above = np.floor(rows)
    (edges,) = np.nonzero(above != np.roll(above, -1))
    following = (edges + 1) % _VERTICES
    row = np.maximum(above[edges], above[following])
    along = (row - rows[edges]) / (rows[following] - rows[edges])
    crossing = points[edges] + along * (points[following] - points[edges])
    order = np.lexsort((crossing, row))
    row = row[order].astype(int)[::2]
    ends = np.ceil(crossing[order]).astype(np.int16).reshape(-1, 2)
    occupied = ends[:, 0] < ends[:, 1]
    row, ends = row[occupied], ends[occupied]
    earlier = np.arange(len(row)) - np.searchsorted(row, row)
    found = np.zeros((2 * RADIUS + 2, 2, 2), np.int16)
    found[row + RADIUS, earlier] = ends
    return found.reshape(-1, 4)


def _turn() -> Float[np.ndarray, " vertex"]:
    return np.arange(_VERTICES) * (2 * np.pi / _VERTICES)
