"""Which of the training images have labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from experiments.family.settings import Family

CLASSES = 10


class Draws(NamedTuple):
    """Which training images have labels, in every run."""

    numbers: list[int]
    """Of labels, for each run."""
    seeds: list[int]
    places: Int[np.ndarray, "run most"]
    """In the training set; filled up by repetition, of which nothing is drawn."""

    @classmethod
    def of(
        cls, labels: Int[np.ndarray, " train"], numbers: Sequence[int], family: Family
    ) -> "Draws":
        """For each number of labels one draw for each seed, as many of each class."""
        runs = [(number, seed) for number in numbers for seed in family.all_seeds]
        chosen = [balanced(labels, number, seed=seed) for number, seed in runs]
        most = max(numbers)
        places = np.stack([np.resize(each, most) for each in chosen])
        return cls([r[0] for r in runs], [r[1] for r in runs], places)

    def own(self) -> dict[str, np.ndarray]:
        """What each run draws from alone."""
        return {"places": self.places, "count": np.array(self.numbers)}

    def of_run(self, run: int) -> Int[np.ndarray, " labelled"]:
        """Places in the training set."""
        return self.places[run, : self.numbers[run]]


def balanced(
    labels: Int[np.ndarray, " train"], number: int, *, seed: int
) -> Int[np.ndarray, " labelled"]:
    """Places of `number` examples, as many of each class, drawn by the seed.

    Raises:
        ValueError: The number is no multiple of the classes, or there are not as many.
    """
    if number % CLASSES or number < CLASSES:
        raise ValueError(
            f"--labels must be multiples of the {CLASSES} classes, got {number}."
        )
    rng = np.random.default_rng(seed)
    each = number // CLASSES
    of_class = [np.flatnonzero(labels == c) for c in range(CLASSES)]
    if (fewest := min(map(len, of_class))) < each:
        raise ValueError(
            f"--labels: {number} labels want {each} of each class, but there are only "
            f"{fewest} of one."
        )
    return np.concatenate([rng.permutation(c)[:each] for c in of_class])
