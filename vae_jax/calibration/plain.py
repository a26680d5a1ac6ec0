"""Plain values that are to stand for a calibration, checked whoever made them.

A NaN among them would compare as false with every score, and call all images normal.
"""

import itertools
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_MOST_COUNTED = 2.0**53
_MOST_SCORED = 3.4028235e38
"""The largest float32, as scores are."""


def part(content: Any, name: str, kind: type[T]) -> T:
    """The value of that name in an object.

    Raises:
        ValueError: there is none, or it is of another type.
    """
    if not isinstance(content, Mapping) or name not in content:
        found = list(content) if isinstance(content, Mapping) else content
        raise ValueError(
            f"Calibration.from_dict: an object with {name!r} is needed, got "
            f"{reprlib.repr(found)}."
        )
    return _of_kind(name, content[name], kind)


def numbers(content: Any, name: str, kind: type[T]) -> tuple[T, ...]:
    """The numbers of that name in an object.

    Raises:
        ValueError: there are none, or one is of another type.
    """
    values = part(content, name, Sequence)
    return tuple(_of_kind(f"each of {name}", value, kind) for value in values)


def check_scores(
    count: int, ranks: Sequence[int], values: Sequence[float | int]
) -> None:
    """Checks what a `NormalScores` is made of.

    Raises:
        ValueError: no finite numbers, not ascending, or not as many as they should be.
    """
    _require("NormalScores.ranks", ranks, most=_MOST_COUNTED, strictly=True)
    _require("NormalScores.values", values, most=_MOST_SCORED)
    if len(ranks) != len(values) or (ranks[0], ranks[-1] + 1) != (0, count):
        raise ValueError(
            "NormalScores: a value is needed for each rank, from rank 0 to count - 1, "
            f"got {len(values)} values for {len(ranks)} ranks from {ranks[0]} to "
            f"{ranks[-1]}, and count {reprlib.repr(count)}."
        )


def check_areas(areas: Sequence[int], thresholds: Sequence[float | int]) -> None:
    """Checks the areas of a `Calibration` and their thresholds.

    Raises:
        ValueError: no finite numbers, areas that do not ascend from 1, thresholds that
            do not descend, or not as many.
    """
    _require("Calibration.areas", areas, most=_MOST_COUNTED, strictly=True)
    _require("Calibration.area_thresholds", thresholds[::-1], most=_MOST_SCORED)
    if areas[0] != 1 or len(areas) != len(thresholds):
        raise ValueError(
            "Calibration: areas must begin with 1 and have a threshold each, got "
            f"{len(areas)} from {areas[0]} on, and {len(thresholds)} thresholds."
        )


def _of_kind(name: str, value: Any, kind: type[T]) -> T:
    # A bool counts as a whole number, and a text as a sequence, but not here.
    if not isinstance(value, kind) or isinstance(value, bool | str):
        raise ValueError(
            f"Calibration.from_dict: {name} must be {kind.__name__}, got "
            f"{reprlib.repr(value)}."
        )
    return value


def _require(
    who: str, values: Sequence[float | int], *, most: float, strictly: bool = False
) -> None:
    """Numbers that ascend, at least one."""
    for value in values:
        if not abs(value) <= most:  # as is true of NaN
            raise ValueError(
                f"{who}: finite numbers up to {most:.3g} are needed, got "
                f"{reprlib.repr(value)}."
            )
    for low, high in itertools.pairwise(values):
        if low > high or (strictly and low == high):
            raise ValueError(f"{who} must be in order, got {low} before {high}.")
    if not values:
        raise ValueError(f"{who}: at least one number is needed, got none.")
