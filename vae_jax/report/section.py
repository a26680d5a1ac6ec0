"""One category of a report: arrays in, small encoded parts out, so many fit memory."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vae_jax.anomaly import ColourLimits
from vae_jax.data.concurrency import in_threads
from vae_jax.data.layout import GOOD
from vae_jax.report.charts import Chart, histogram_svg, score_axis, slider_stops
from vae_jax.report.encoding import (
    Levels,
    Rendition,
    pack,
    quantise,
    render,
    shrink_codes,
    threshold_levels,
)

SIDES = ((512, 256), (256, 128), (128, 64))
"""Longest side of an image and of its map, finest first: the budget decides."""
MOST_PICTURES = 500
"""Of one category; more than anyone looks through. All images are counted."""
MOST_LATENTS, LATENT_SIDE = 16, 64

Map = Float[np.ndarray, "rows columns"]
Maps = Float[np.ndarray, "image rows columns"]


@dataclasses.dataclass(frozen=True)
class Item:
    """One image and what is said of it."""

    name: str
    kind: str
    """Kind of defect; "good" for a normal image."""
    image: UInt8[np.ndarray, "height width channel"]
    """May have more pixels than the map."""
    map: Map
    """Raw."""
    score: float
    mask: Bool[np.ndarray, "mask_rows mask_columns"] | None = None
    """Where the defect is; of the size of the map. None: not known."""
    latent_maps: Float[np.ndarray, "latent rows columns"] | None = None
    latent_kl: Float[np.ndarray, " latent"] | None = None
    """In nats; what latent maps are ranked by."""


class LatentMap(NamedTuple):
    """The map of one latent as the page holds it."""

    latent: int
    kl: float
    map: str
    rows: int
    columns: int


class Picture(NamedTuple):
    """An item as the page holds it, in several sizes."""

    name: str
    kind: str
    is_defective: bool
    score: float
    renditions: tuple[Rendition, ...]
    latents: tuple[LatentMap, ...]


@dataclasses.dataclass(frozen=True)
class Section:
    """One category, encoded."""

    category: str
    method: str
    """Whose maps these are."""
    images: int
    """All that are counted; of them there are at most 500 pictures."""
    pictures: tuple[Picture, ...]
    """Any first few of them are spread over kinds and scores."""
    figures: Mapping[str, Any]
    """Scores, thresholds, levels and pixel counts, as JSON."""
    histogram: str
    """SVG."""
    charts: tuple[Chart, ...]
    map_shape: tuple[int, int] | None


def make_section(
    category: str,
    items: Sequence[Item],
    *,
    method: str,
    normal_scores: Float[np.ndarray, " normal"],
    normal_maps: Maps,
    image_threshold: float,
    pixel_threshold: float,
    limits: ColourLimits,
    charts: Sequence[Chart] = (),
    are_held_out: bool = False,
) -> Section:
    """Encodes what the page shows of a category.

    Args:
        category: its name.
        items: test images, or held-out normal images if there are none.
        method: whose maps and scores these are.
        normal_scores: of held-out normal images.
        normal_maps: of held-out normal images.
        image_threshold: calibrated; a score that reaches it is flagged.
        pixel_threshold: calibrated, for raw map values.
        limits: of the colour scale.
        charts: curves to draw.
        are_held_out: whether `items` are the held-out normal images themselves.

    Raises:
        ValueError: a map or a score is not finite, a mask has not the size of its map,
            or there is no score at all.
    """
    _check(items, normal_scores)
    tops = [float(each.max()) for each in (*(i.map for i in items), *normal_maps)]
    levels = threshold_levels(
        low=limits.low,
        high=limits.high,
        threshold=pixel_threshold,
        top=max(tops, default=limits.high),
    )
    tested = [] if are_held_out else items
    normal = np.array([i.score for i in tested if i.kind == GOOD], np.float64)
    defective = np.array([i.score for i in tested if i.kind != GOOD], np.float64)
    held_out = np.asarray(normal_scores, np.float64)
    axis = score_axis(np.concatenate([normal, defective, held_out]))
    stops, image_stop = slider_stops(axis, image_threshold)
    chosen = [items[i] for i in spread(items)[:MOST_PICTURES]]
    figures = {
        "good": GOOD,
        "normal": normal.tolist(),
        "defective": defective.tolist(),
        "heldOut": held_out.tolist(),
        "stops": stops,
        "imageStop": image_stop,
        "isLogarithmic": axis.is_logarithmic,
        "limits": list(limits),
        "levels": levels.tolist(),
        "pixelStop": int(np.searchsorted(levels, np.float32(pixel_threshold))) + 1,
        "pixels": _pixel_counts(tested, normal_maps, levels),
    }
    return Section(
        category=category,
        method=method,
        images=len(items),
        pictures=tuple(in_threads(lambda item: _picture(item, levels), chosen)),
        figures=figures,
        histogram=histogram_svg(
            axis, normal=normal, defective=defective, held_out=held_out
        ),
        charts=tuple(charts),
        map_shape=items[0].map.shape if items else None,
    )


def spread(items: Sequence[Item]) -> list[int]:
    """Indices, those with latent maps first, so that any prefix is a fair selection.

    Kinds take turns; within a kind, each next score falls into the widest gap.
    """
    by_kind: dict[str, list[int]] = {}
    for index in sorted(range(len(items)), key=lambda i: -items[i].score):
        by_kind.setdefault(items[index].kind, []).append(index)
    turns = []
    for indices in by_kind.values():
        bits = max(1, (len(indices) - 1).bit_length())
        ranks = sorted(range(len(indices)), key=lambda rank: f"{rank:0{bits}b}"[::-1])
        turns += [(turn, indices[rank]) for turn, rank in enumerate(ranks)]
    # Stable, so kinds keep their order within a turn.
    turns.sort(key=lambda pair: (items[pair[1]].latent_maps is None, pair[0]))
    return [index for _, index in turns]


def _check(items: Sequence[Item], normal_scores: Float[np.ndarray, " normal"]) -> None:
    for item in items:
        if not (np.isfinite(item.map).all() and np.isfinite(item.score)):
            raise ValueError(
                f"make_section: the map and the score of {item.name} must be finite; "
                "look for NaN in the maps."
            )
        if item.mask is not None and item.mask.shape != item.map.shape:
            raise ValueError(
                f"make_section: the mask of {item.name} must have the size of its map, "
                f"{item.map.shape}, got {item.mask.shape}; resize it."
            )
    if not (items or normal_scores.size) or not np.isfinite(normal_scores).all():
        raise ValueError(
            "make_section: wanted finite scores of items or held-out normal images, "
            f"got {len(items)} items and normal scores {normal_scores}."
        )


def _picture(item: Item, levels: Levels) -> Picture:
    codes = quantise(item.map, levels)
    renditions = tuple(
        render(item.image, codes, item.mask, image_side=image, map_side=map_side)
        for image, map_side in SIDES
    )
    return Picture(
        item.name,
        item.kind,
        item.kind != GOOD,
        float(item.score),
        renditions,
        _latents(item),
    )


def _latents(item: Item) -> tuple[LatentMap, ...]:
    """The maps of the latents of highest KL, on one scale from 0 to the brightest."""
    if item.latent_maps is None or item.latent_kl is None:
        return ()
    ranked = np.argsort(-item.latent_kl, kind="stable")[:MOST_LATENTS]
    maps = np.maximum(item.latent_maps[ranked], 0.0)
    codes = np.rint(255 * maps / (float(maps.max()) or 1.0)).astype(np.uint8)
    small = [shrink_codes(each, LATENT_SIDE) for each in codes]
    return tuple(
        LatentMap(int(latent), float(item.latent_kl[latent]), pack(each), *each.shape)
        for latent, each in zip(ranked, small, strict=True)
    )


def _pixel_counts(
    items: Sequence[Item], normal_maps: Maps, levels: Levels
) -> dict[str, dict[str, Any]]:
    """How many pixels reach each level, by what they are."""
    counts = {"heldOut": _reached(normal_maps, levels)}
    if items and all(item.mask is not None for item in items):
        for name, is_defect in (("normal", False), ("defect", True)):
            values = (item.map[item.mask == is_defect] for item in items)
            counts[name] = np.sum([_reached(each, levels) for each in values], axis=0)
    return {
        name: {"total": int(at_least[0]), "reached": at_least[1:].tolist()}
        for name, at_least in counts.items()
    }


def _reached(values: np.ndarray, levels: Levels) -> np.ndarray:
    """How many values have at least each code."""
    found = np.bincount(quantise(values, levels).ravel(), minlength=len(levels) + 1)
    return found[::-1].cumsum()[::-1]
