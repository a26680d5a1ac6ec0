"""Every image of the dSprites-compatible, procedural set, with numpy or with jax."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vae_jax.data.dsprites import outlines
from vae_jax.data.factors import FactorGrid

PROCEDURAL = "dSprites-compatible, procedural"
"""What the rendered set is called: it is not dSprites."""

SIDE = 64
"""Of an image, in pixels."""

GRID = FactorGrid(("shape", "scale", "orientation", "x", "y"), (3, 6, 40, 32, 32))
"""737,280 images. Shapes are square, ellipse, heart; x grows to the right, y down."""

VALUES = (
    np.array([1.0, 2.0, 3.0]),
    outlines.SCALES,
    outlines.ORIENTATIONS,
    np.linspace(0, 1, 32),
    np.linspace(0, 1, 32),
)
"""What each class of each factor means, in the units of dSprites."""

_STEP = 32
"""From one position to the next, in points: positions span half of the image."""
_CENTRE = 480
"""The point of pixel 0 if the position is 0, negated: see `_points`."""


def render(
    classes: Int[Any, "image 5"], *, xp: Any = np
) -> Bool[Any, "image height width"]:
    """Draws the images of `GRID`: a pixel is on where its centre is in the outline.

    No anti-aliasing, as in dSprites. Whole numbers only, so numpy and jax on any device
    give the same images.

    Args:
        classes: the indices of the factors' values.
        xp: numpy, or jax.numpy, then under `jax.jit` too.
    """
    shape, scale, orientation, x, y = (classes[:, factor] for factor in range(5))
    _, scales, orientations, _, _ = GRID.sizes
    sprite = (shape * scales + scale) * orientations + orientation
    points, rows = (_points(position, xp=xp) for position in (x, y))
    rows = xp.clip(rows + outlines.RADIUS, 0, 2 * outlines.RADIUS + 1)
    ends = xp.asarray(outlines.stretches())[sprite[:, None], rows]
    points = points[:, None].astype(np.int16)
    a, b, c, d = (points >= ends[..., [end]] for end in range(4))
    return (a & ~b) | (c & ~d)


def _points(position: Int[Any, " image"], *, xp: Any) -> Int[Any, "image pixel"]:
    """Which points of the lattice around a sprite are the centres of the pixels.

    The centre of pixel i is i + 1/2 - (16 + 32 position / 31) pixels from the sprite's,
    and point p is (p - 1/2) / 31 from it, so that p = 31 i - 32 position - 480.
    """
    pixels = xp.arange(SIDE)[None, :]
    return outlines.FINENESS * pixels - _STEP * position[:, None] - _CENTRE


def pack(
    images: Bool[Any, "image height width"], *, xp: Any = np
) -> UInt8[Any, "image bytes"]:
    """Eight pixels to a byte, row by row, the leftmost in the highest bit."""
    return xp.packbits(images.reshape(len(images), -1), axis=-1)


def unpack(
    packed: UInt8[Any, "image 512"], *, xp: Any = np
) -> UInt8[Any, "image 64 64"]:
    """The inverse of `pack`, as 0 and 1."""
    return xp.unpackbits(packed, axis=-1).reshape(-1, SIDE, SIDE)
