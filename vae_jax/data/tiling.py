"""Large images cut into overlapping tiles, and maps of tiles blended into one.

numpy only. The blended map needs no more memory than itself and one tile.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8


class Corner(NamedTuple):
    """The first row and column of a tile."""

    row: int
    column: int


@dataclasses.dataclass(frozen=True)
class Tiling:
    """Square tiles that cover an image, with the least overlap asked for or more.

    As few tiles as will do are spread evenly, so that the last one ends with the image.
    An image shorter than a tile is continued by its reflection.

    Raises:
        ValueError: a side below 1, or an overlap that leaves no progress.
    """

    height: int
    width: int
    side: int
    overlap: int

    def __post_init__(self) -> None:
        if self.side < 1 or not 0 <= self.overlap < self.side:
            raise ValueError(
                "Tiling: a tile needs a side of 1 or more and an overlap from 0 to "
                f"below its side, got side {self.side} and overlap {self.overlap}."
            )

    @property
    def corners(self) -> list[Corner]:
        """Of every tile, row by row."""
        return [Corner(row, column) for row in self._rows for column in self._columns]

    def cut(
        self, pixels: UInt8[np.ndarray, "height width channel"], corner: Corner
    ) -> UInt8[np.ndarray, "side side channel"]:
        """The tile at `corner`."""
        tile = pixels[
            corner.row : corner.row + self.side,
            corner.column : corner.column + self.side,
        ]
        missing = [(0, self.side - length) for length in tile.shape[:2]]
        return np.pad(tile, [*missing, (0, 0)], mode="symmetric")

    def blend(
        self, maps: Iterable[tuple[Corner, Float[np.ndarray, "side side"]]]
    ) -> Float[np.ndarray, "height width"]:
        """One map of the image from the maps of all its tiles, in any order.

        Where tiles overlap, each fades out linearly towards its edge while its
        neighbour fades in: the weights sum to one at every pixel.
        """
        blended = np.zeros((self.height, self.width), np.float32)
        for corner, values in maps:
            down, across = self._rows[corner.row], self._columns[corner.column]
            shown = values[: len(down), : len(across)]
            blended[
                corner.row : corner.row + len(down),
                corner.column : corner.column + len(across),
            ] += shown * down[:, None] * across[None, :]
        return blended

    @functools.cached_property
    def _rows(self) -> dict[int, Float[np.ndarray, " row"]]:
        return _ramps(self.height, side=self.side, overlap=self.overlap)

    @functools.cached_property
    def _columns(self) -> dict[int, Float[np.ndarray, " column"]]:
        return _ramps(self.width, side=self.side, overlap=self.overlap)


def _starts(length: int, *, side: int, overlap: int) -> list[int]:
    """Where tiles begin along an axis, evenly spread."""
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    # The exact step is at most side - overlap, a whole number, so rounding keeps it so.
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _ramps(
    length: int, *, side: int, overlap: int
) -> dict[int, Float[np.ndarray, " position"]]:
    """By start, a tile's weights along an axis; at every position they sum to one."""
    starts = _starts(length, side=side, overlap=overlap)
    weights = {start: np.ones(min(side, length)) for start in starts}
    for before, after in itertools.pairwise(starts):
        shared = before + side - after
        ramp = (np.arange(shared) + 0.5) / max(shared, 1)
        weights[before][side - shared :] *= ramp[::-1]
        weights[after][:shared] *= ramp
    # A position in more than two tiles has ramps of several pairs.
    total = np.zeros(length)
    for start, values in weights.items():
        total[start : start + len(values)] += values
    return {
        start: (values / total[start : start + len(values)]).astype(np.float32)
        for start, values in weights.items()
    }
