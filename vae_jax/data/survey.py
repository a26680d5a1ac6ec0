"""What the files of a category are like: each is read, all that is wrong is told."""

import hashlib
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from vae_jax.data import images
from vae_jax.data.concurrency import all_or_told
from vae_jax.data.folder import read_bytes
from vae_jax.data.layout import GOOD, CategoryFiles, Entry, is_training_image
from vae_jax.data.masks import read_mask
from vae_jax.data.prepared import combine
from vae_jax.spelling import printable


class _Seen(NamedTuple):
    """Of one image and its mask."""

    header: images.Header
    bits: int
    digests: dict[str, str]
    is_unusual_mask: bool


def survey(files: CategoryFiles) -> dict[str, Any]:
    """Reads every file whole, and returns what a manifest says of them.

    Raises:
        ValueError: files that are none, cannot be read or are broken, have a name that
            is not UTF-8, or masks that say nothing clear, are empty or not of their
            image's size: all in one line.
    """

    def look(entry: Entry) -> _Seen:
        return _look(files, entry)

    seen = all_or_told(look, (*files.train, *files.test), who="prepare")
    normal = [each.header for each in seen[: len(files.train)]]
    digests = {name: digest for each in seen for name, digest in each.digests.items()}
    return {
        **combine(digests),
        "shortest_side": min(min(each.header[:2]) for each in seen),
        "images": len(seen),
        "gray_images": sum(each.header.channels == 1 for each in seen),
        "native_size": list(middle_size([header[:2] for header in normal])),
        "headers": sorted(map(list, set(normal))),
        "bits": max(each.bits for each in seen),
        "unusual_masks": sum(each.is_unusual_mask for each in seen),
    }


def middle_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The median height and the median width; of two in the middle the smaller."""
    heights, widths = zip(*sizes, strict=True)
    return statistics.median_low(heights), statistics.median_low(widths)


def _look(files: CategoryFiles, entry: Entry) -> _Seen:
    encoded = _read(files, entry.image)
    header = images.read_header(encoded, name=entry.image)
    is_normal = is_training_image(entry.image)
    bits = images.bits_used(encoded, name=entry.image) if is_normal else 0
    digests = {entry.image: hashlib.sha256(encoded).hexdigest()}
    if entry.mask is None:
        return _Seen(header, bits, digests, is_unusual_mask=False)
    mask = _read(files, entry.mask)
    digests[entry.mask] = hashlib.sha256(mask).hexdigest()
    return _Seen(header, bits, digests, _is_unusual(mask, entry, header))


def _read(files: CategoryFiles, name: str) -> bytes:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"prepare: the name of {printable(name)} is not UTF-8; rename it."
        ) from error
    return read_bytes("prepare", files.folder / name, name=name)


def _is_unusual(encoded: bytes, entry: Entry, image: images.Header) -> bool:
    """Whether a mask, which is checked, is none of black and white."""
    assert entry.mask is not None
    defect, is_black_and_white = read_mask(encoded, name=entry.mask)
    if defect.shape != image[:2]:
        raise ValueError(
            f"prepare: {entry.mask} is {defect.shape[0]}x{defect.shape[1]} pixels, but "
            f"its image {entry.image} is {image.height}x{image.width}; "
            "a mask has its image's size."
        )
    if entry.defect != GOOD and not defect.any():
        raise ValueError(
            f"prepare: {entry.image} has a defect, but its mask is black; paint the "
            "defect white in the mask, or remove image and mask."
        )
    return not is_black_and_white
