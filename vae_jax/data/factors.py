"""Grids of generative factors: from the values of all factors to a place, and back."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8


@dataclasses.dataclass(frozen=True)
class FactorGrid:
    """Every combination of the values of some factors, the last factor fastest.

    `classes` are the indices of the factors' values, `index` is the place of their
    combination in the grid. Both may be arrays of numpy or of jax, traced or not; they
    are not checked to lie in the grid.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    """How many values each factor has."""

    def __post_init__(self):
        if len(self.names) != len(self.sizes) or min(self.sizes, default=0) < 1:
            raise ValueError(
                "FactorGrid: every factor needs a name and at least one value, got "
                f"names {self.names} and sizes {self.sizes}."
            )

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return math.prod(self.sizes)

    def index(self, classes: Int[Any, "*batch factor"]) -> Int[Any, "*batch"]:
        """The place of each combination."""
        return (classes * self._last_axis(self._flat_strides, classes.ndim)).sum(-1)

    def classes(self, index: Int[Any, "*batch"]) -> Int[Any, "*batch factor"]:
        """The combination at each place."""
        places = index[..., None]
        strides = self._last_axis(self._flat_strides, places.ndim)
        return places // strides % self._last_axis(self.sizes, places.ndim)

    def every(self, strides: Sequence[int]) -> "FactorGrid":
        """The grid of every `strides[f]`-th value of factor f, beginning at its first.

        Its classes times `strides` are classes of this grid.

        Raises:
            ValueError: not one positive stride for each factor.
        """
        if len(strides) != len(self.sizes) or min(strides) < 1:
            raise ValueError(
                f"every: strides must be {len(self.sizes)} positive numbers, one for "
                f"each of {', '.join(self.names)}, got {tuple(strides)}."
            )
        sizes = (
            -(-size // stride) for size, stride in zip(self.sizes, strides, strict=True)
        )
        return FactorGrid(self.names, tuple(sizes))

    @property
    def _flat_strides(self) -> tuple[int, ...]:
        rest = (self.sizes[factor + 1 :] for factor in range(len(self.sizes)))
        return tuple(map(math.prod, rest))

    @staticmethod
    def _last_axis(values: Sequence[int], rank: int) -> Int[np.ndarray, "..."]:
        """Of as many axes as the other operand: jax may be told to insist on that."""
        return np.array(values, np.int32).reshape((1,) * (rank - 1) + (-1,))


@dataclasses.dataclass(frozen=True)
class GridImages:
    """One image for each place of a grid, in its order."""

    stored: UInt8[np.ndarray, "image bytes"] | UInt8[np.ndarray, "image height width 3"]
    """Black and white with eight pixels to a byte (`dsprites.pack`), or RGB."""
    grid: FactorGrid
    source: str
    """What it is, for tables."""
