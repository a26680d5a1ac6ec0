"""Maps of large images, patch by overlapping patch (Bergmann et al. 2019)."""

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.baselines import MapFunction

_PATCHES_AT_ONCE = 256


def map_patches(
    function: MapFunction,
    pixels: UInt8[np.ndarray, "image height width channel"],
    *,
    side: int,
    stride: int,
) -> Float[np.ndarray, "image height width"]:
    """The maps that `function` gives of squares of `side` pixels, averaged.

    `function` is called on the patches of some images at a time, so that memory does
    not grow with their number.
    """
    n, height, width, _ = pixels.shape
    maps = np.empty((n, height, width), np.float32)
    rows = patch_starts(height, side=side, stride=stride)
    columns = patch_starts(width, side=side, stride=stride)
    at_once = max(1, _PATCHES_AT_ONCE // (len(rows) * len(columns)))
    for start in range(0, n, at_once):
        patches = cut(pixels[start : start + at_once], side=side, stride=stride)
        maps[start : start + at_once] = average(
            function(patches), height=height, width=width, stride=stride
        )
    return maps


def patch_starts(size: int, *, side: int, stride: int) -> list[int]:
    """Where patches begin along an axis: every `stride` pixels, the last at its end.

    Raises:
        ValueError: a patch is larger than the image, or the patches leave gaps.
    """
    if not 1 <= side <= size:
        raise ValueError(
            f"patch_starts: patches must have from 1 pixel to the {size} of the image, "
            f"got {side}; take larger images or smaller patches."
        )
    if not 1 <= stride <= side:
        raise ValueError(
            f"patch_starts: stride must be from 1 to the {side} pixels of a patch, got "
            f"{stride}; a larger one leaves pixels out."
        )
    last = size - side
    return [*range(0, last, stride), last]


def cut(
    pixels: UInt8[np.ndarray, "image height width channel"], *, side: int, stride: int
) -> UInt8[np.ndarray, "patch {side} {side} channel"]:
    """All patches of each image in turn, row by row."""
    _, height, width, channels = pixels.shape
    patches = [
        pixels[:, top : top + side, left : left + side]
        for top in patch_starts(height, side=side, stride=stride)
        for left in patch_starts(width, side=side, stride=stride)
    ]
    return np.stack(patches, 1).reshape(-1, side, side, channels)


def average(
    maps: Float[np.ndarray, "patch side side"], *, height: int, width: int, stride: int
) -> Float[np.ndarray, "image {height} {width}"]:
    """Puts maps of all patches back where `cut` took them; overlaps are averaged."""
    side = maps.shape[-1]
    rows = patch_starts(height, side=side, stride=stride)
    columns = patch_starts(width, side=side, stride=stride)
    places = [
        (slice(top, top + side), slice(left, left + side))
        for top in rows
        for left in columns
    ]
    of_image = maps.reshape(-1, len(places), side, side)
    total = np.zeros((len(of_image), height, width), np.float32)
    times = np.zeros((height, width), np.float32)
    for i, place in enumerate(places):
        total[:, *place] += of_image[:, i]
        times[place] += 1
    return total / times
