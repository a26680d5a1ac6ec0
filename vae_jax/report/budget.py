"""What of many pictures fits into a page: in which size, and how many."""

from collections.abc import Sequence
from typing import NamedTuple

LATENT_SHARE = 0.25
"""Of the room: at most so much for the maps of single latents."""


class Sizes(NamedTuple):
    """Bytes that the pictures of a category take, in their order of importance."""

    pictures: Sequence[Sequence[int]]
    """By size of rendition, finest first."""
    latents: Sequence[int]
    """0 where a picture has none."""


class Plan(NamedTuple):
    """What the page holds."""

    rendition: int
    pictures: tuple[int, ...]
    """How many of each category, the most important ones."""
    latents: tuple[int, ...]
    """How many of these with the maps of their latents."""


def plan(sections: Sequence[Sizes], *, room: int) -> Plan:
    """The finest renditions in which all pictures fit; else as many as fit, coarse.

    Where pictures must be left out, every category keeps about as many.
    """
    latents = _fitting([each.latents for each in sections], int(LATENT_SHARE * room))
    room -= sum(sum(s.latents[:n]) for s, n in zip(sections, latents, strict=True))
    renditions = max((len(each.pictures) for each in sections), default=1)
    counts: tuple[int, ...] = ()
    for rendition in range(renditions):
        sizes = [each.pictures[rendition] for each in sections]
        counts = _fitting(sizes, room)
        if counts == tuple(map(len, sizes)):
            return Plan(rendition, counts, latents)
    kept = tuple(map(min, latents, counts))
    return Plan(renditions - 1, counts, kept)


def _fitting(sizes: Sequence[Sequence[int]], room: int) -> tuple[int, ...]:
    """How many first ones of each list fit together, when the lists take turns."""
    counts = [0] * len(sizes)
    for turn in range(max(map(len, sizes), default=0)):
        for index, own in enumerate(sizes):
            if turn >= len(own):
                continue
            room -= own[turn]
            if room < 0:
                return tuple(counts)
            counts[index] += 1
    return tuple(counts)
