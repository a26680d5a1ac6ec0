"""Checks maps against their masks and pools their pixels, as they are.

Errors begin with the name of the function that was called.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage

Images = Sequence[Any] | Shaped[Any, "_ _ _"]
Map = Float[np.ndarray, "_ _"]
Mask = Bool[np.ndarray, "_ _"]


class Pixels(NamedTuple):
    """The scores of all images by class; `weight` sums to one, equal over regions."""

    normal: Float[np.ndarray, " normals"]
    defect: Float[np.ndarray, " defects"]
    weight: Float[np.ndarray, " defects"]


def as_maps(function: str, maps: Images) -> list[Map]:
    """The maps in one float type: float32, or float64 if one of them needs it.

    Raises:
        ValueError: from `function`, if there is no map, or one is not [rows columns] or
            has a NaN.
    """
    arrays = [np.asarray(scores) for scores in _each(maps)]
    if not arrays:
        raise ValueError(f"{function}: at least one map is needed, got none.")
    exact = np.result_type(np.float32, *arrays)
    for index, scores in enumerate(arrays):
        if scores.ndim != 2 or not scores.size:
            raise ValueError(
                f"{function}: a map must be [rows columns], map {index} has shape "
                f"{scores.shape}."
            )
        # The minimum of an array with a NaN is NaN: no temporary of its size.
        if np.isnan(scores.min()):
            raise ValueError(
                f"{function}: maps must be numbers, map {index} has a NaN."
            )
    return [scores.astype(exact, copy=False) for scores in arrays]


def as_pairs(
    function: str, maps: Images, masks: Images
) -> tuple[list[Map], list[Mask]]:
    """Maps and boolean masks, one of each for every image and of its size.

    Raises:
        ValueError: from `function`, as `as_maps` does, or if a map has no mask of its
            shape, or the masks hold anything but 0 and 1 or only one of them.
    """
    scores = as_maps(function, maps)
    truths = [np.asarray(mask) for mask in _each(masks)]
    if len(scores) != len(truths):
        raise ValueError(
            f"{function}: each map needs a mask, got {len(scores)} maps and "
            f"{len(truths)} masks."
        )
    for index, (one, mask) in enumerate(zip(scores, truths, strict=True)):
        if one.shape != mask.shape:
            raise ValueError(
                f"{function}: a mask must have its map's shape, image {index} has "
                f"map {one.shape} and mask {mask.shape}; resize the map to the mask."
            )
    truths = [_as_mask(function, mask, index) for index, mask in enumerate(truths)]
    check_both_classes(f"{function}: masks", *_count(truths))
    return scores, truths


def pool(maps: list[Map], masks: list[Mask]) -> Pixels:
    """Splits all pixels by class, into one array that is allocated once."""
    defects, total = _count(masks)
    normal = np.empty(total - defects, maps[0].dtype)
    filled, regions, defect, weight = 0, 0, [], []
    for scores, mask in zip(maps, masks, strict=True):
        chosen = scores[~mask]
        normal[filled : filled + chosen.size] = chosen
        filled += chosen.size
        if chosen.size < mask.size:
            labels, found = label_regions(mask)
            region = labels[mask]
            regions += found
            defect.append(scores[mask])
            weight.append(1 / np.bincount(region)[region])
    return Pixels(normal, np.concatenate(defect), np.concatenate(weight) / regions)


def label_regions(mask: Mask) -> tuple[Int[np.ndarray, "_ _"], int]:
    """Numbers the 8-connected regions from 1, and says how many there are."""
    labels = np.empty(mask.shape, np.int32)
    # With `output` given, scipy returns the count alone.
    found = ndimage.label(mask, np.ones((3, 3), bool), output=labels)
    return labels, cast(int, found)


def largest_region(mask: Mask) -> int:
    """Pixels of the largest 8-connected region."""
    labels, _ = label_regions(mask)
    return int(np.bincount(labels.ravel())[1:].max(initial=0))


def check_both_classes(who: str, positives: int, total: int) -> None:
    """Raises a ValueError that begins with `who` unless both classes occur."""
    if positives in (0, total):
        raise ValueError(
            f"{who} must contain both classes, got only {int(positives > 0)}; "
            "add images of the other."
        )


def _count(masks: list[Mask]) -> tuple[int, int]:
    """Defect pixels, and all pixels."""
    return sum(int(mask.sum()) for mask in masks), sum(mask.size for mask in masks)


def _each(images: Images) -> Sequence[Any] | np.ndarray:
    # A stacked device array is fetched at once; its rows would come one by one.
    return images if isinstance(images, Sequence) else np.asarray(images)


def _as_mask(function: str, mask: np.ndarray, index: int) -> Mask:
    truth = mask.astype(bool, copy=False)
    if mask.dtype != bool and (mask != truth).any():
        raise ValueError(
            f"{function}: masks must hold only 0 and 1, mask {index} has "
            f"{mask[mask != truth].flat[0]}; threshold it before."
        )
    return truth
