"""One category in memory: training and validation images, test images with masks."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data import images
from vae_jax.data.concurrency import Progress, Tally, in_threads
from vae_jax.data.labelled import NativeMasks, TestImages
from vae_jax.data.layout import GOOD, MissingMasks, is_training_image, list_category
from vae_jax.data.listing import describe_passed_over
from vae_jax.data.masks import decode_mask
from vae_jax.data.mvtec_ad import DESCRIPTIONS, TEXTURES, prepare
from vae_jax.data.prepared import Record, Records, open_split

DECODED_BYTES = 2 * 1024**3
"""Up to this size the decoded training images are kept in memory."""


class DecodedOnDemand:
    """Images that are decoded and resized each time they are asked for."""

    def __init__(
        self,
        records: Records,
        indices: Int[np.ndarray, " image"],
        *,
        size: int,
        channels: int,
        bits: int = 16,
    ):
        self._records = records
        self._indices = indices
        self._size = size
        self._channels = channels
        self._bits = bits

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "size size channel"]:
        record = self._records[int(self._indices[index])]
        return decode_record(
            record, size=self._size, channels=self._channels, bits=self._bits
        )


ImageSource = UInt8[np.ndarray, "image size size channel"] | DecodedOnDemand
"""Random access to images of the model's size."""


@dataclasses.dataclass(frozen=True)
class CategoryData:
    """All that an experiment needs of one category."""

    category: str
    train: ImageSource
    validation: UInt8[np.ndarray, "validation size size channel"]
    """Held-out normal images."""
    test: TestImages
    channels: int
    sha256: str
    """Over the contents of all files."""
    at_size: Callable[[int], "CategoryData"]
    """The same images, split alike, at another size."""
    at_size_on_demand: "Callable[[int], CategoryData] | None" = None
    """The same, where training images can wait until they are asked for."""
    notes: tuple[str, ...] = ()
    """What is to be said of the files: what was passed over, or read in its own way."""
    is_texture: bool = False
    """Whether any part of an image is as good as another, so that parts will do."""
    native_size: tuple[int, int] | None = None
    """Median height and width of the training images as published, where known."""
    shortest_side: int | None = None
    """In pixels, of all images as published; None where all may be enlarged freely."""
    is_published: bool = False
    """Whether it is of MVTec AD, with which published figures compare, and no folder
    that is only called so."""
    bits: int = 16
    """Of 16-bit values, those that the training images use, see `images.decode`."""


def load_category(
    data_dir: str | Path,
    category: str,
    *,
    prepared_dir: str | Path,
    size: int,
    seed: int,
    channels: int | None = None,
    validation_share: float = 0.1,
    missing_masks: MissingMasks = "error",
    decoded_bytes: int = DECODED_BYTES,
    progress: Progress | None = None,
) -> CategoryData:
    """Prepares a category if need be and decodes it at the model's size.

    Args:
        data_dir: the folder that holds the category folders, or is the only one.
        category: one of `find_categories(data_dir)`.
        prepared_dir: where array records are kept between runs.
        size: side of the square images that the model sees, in pixels.
        seed: chooses the validation images.
        channels: 1 or 3; by default as the category was published.
        validation_share: of train/good, see `validation_split`.
        missing_masks: see `list_category`.
        decoded_bytes: training images beyond this many bytes are decoded on demand.
        progress: called as (done, total) while images are decoded.

    Raises:
        ValueError: bad folder, category, pairing, image or mask, see `prepare`.
    """
    builder = prepare(data_dir, category, prepared_dir, missing_masks=missing_masks)
    # Not from the manifest: files that are passed over come and go without a new one.
    files = list_category(data_dir, category, missing_masks=missing_masks)
    train, test = open_split(builder, "train"), open_split(builder, "test")
    manifest = builder.manifest
    bits = manifest["bits"] or 16
    is_namesake = category in DESCRIPTIONS and not manifest["is_published"]
    channels = builder.config.channels if channels is None else channels
    paths = list(filter(is_training_image, manifest["files"]))
    kept, held_out = validation_split(paths, share=validation_share, seed=seed)
    report = Tally(progress, total=len(train) + len(test))
    again = functools.partial(
        load_category,
        data_dir,
        category,
        prepared_dir=prepared_dir,
        seed=seed,
        channels=channels,
        validation_share=validation_share,
        missing_masks=missing_masks,
        decoded_bytes=decoded_bytes,
    )
    fits = len(kept) * size * size * channels <= decoded_bytes
    on_demand = functools.partial(
        DecodedOnDemand, train, size=size, channels=channels, bits=bits
    )
    lazy, validation = on_demand(kept), on_demand(held_out)
    return CategoryData(
        category=category,
        train=decode_all(lazy, done=report) if fits else lazy,
        validation=decode_all(validation, done=report),
        test=load_test(test, size=size, channels=channels, bits=bits, done=report),
        channels=channels,
        sha256=manifest["sha256"],
        at_size=lambda other: again(size=other),
        at_size_on_demand=lambda other: again(size=other, decoded_bytes=0),
        notes=_notes(files.passed_over, manifest, channels),
        is_texture=category in TEXTURES and not is_namesake,
        is_published=manifest["is_published"],
        native_size=tuple(manifest["native_size"]),
        shortest_side=manifest["shortest_side"],
        bits=bits,
    )


def _notes(
    passed_over: Sequence[str], manifest: dict[str, Any], channels: int
) -> tuple[str, ...]:
    total, gray = manifest["images"], manifest["gray_images"]
    unmasked, unusual = manifest["unmasked_images"], manifest["unusual_masks"]
    told = {
        describe_passed_over(passed_over): passed_over,
        f"{gray} of {total} images are gray, and are read as colour ones": (
            channels == 3 and 0 < gray < total
        ),
        f"{total - gray} of {total} images are in colour, and are read as gray ones": (
            channels == 1 and gray < total
        ),
        f"{unmasked} defect images have no mask, and count as whole images alone": (
            unmasked
        ),
        f"{unusual} masks are not of black and white; what is painted in them is taken "
        "for the defect": unusual,
    }
    return tuple(note for note, applies in told.items() if applies)


def validation_split(
    paths: Sequence[str], *, share: float = 0.1, seed: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " validation"]]:
    """Divides images into training and validation indices, both ascending.

    The validation images are those whose hashed (seed, path) come first: at least one,
    and a later image displaces at most one of them.

    Raises:
        ValueError: `share` is not in (0, 1), or fewer than two images.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation_split: share must be in (0, 1), got {share}.")
    if len(paths) < 2:
        raise ValueError(
            f"validation_split: training needs at least 2 images, got {len(paths)}; "
            "one is held out for validation."
        )
    ranks = [hashlib.sha256(f"{seed}/{path}".encode()).digest() for path in paths]
    order = sorted(range(len(paths)), key=ranks.__getitem__)
    count = min(max(1, round(share * len(paths))), len(paths) - 1)
    return np.sort(order[count:]), np.sort(order[:count])


def decode_record(
    record: Record, *, size: int, channels: int, bits: int = 16
) -> UInt8[np.ndarray, "size size channel"]:
    """Decodes the image of one record and resizes it."""
    name = record["path"]
    pixels = images.decode(record["image"], channels=channels, name=name, bits=bits)
    return images.resize(pixels, size, name=name)


def decode_all(
    source: DecodedOnDemand, *, done: Callable[[], None] = lambda: None
) -> UInt8[np.ndarray, "image size size channel"]:
    """Decodes every image, in threads; `done` is called after each."""
    return np.stack(in_threads(source.__getitem__, range(len(source)), done=done))


def load_test(
    records: Records,
    *,
    size: int,
    channels: int,
    bits: int = 16,
    done: Callable[[], None] = lambda: None,
) -> TestImages:
    """Decodes a split with its masks, in threads; `done` is called after each image.

    A split without images gives arrays without images.
    """

    def load(index: int) -> tuple[np.ndarray, np.ndarray, Record]:
        record = records[index]
        name = record["path"]
        mask = decode_mask(record["mask"], name=f"mask of {name}")
        pixels = decode_record(record, size=size, channels=channels, bits=bits)
        return pixels, images.resize_mask(mask, size), record

    loaded = in_threads(load, range(len(records)), done=done)
    shape = len(loaded), size, size
    return TestImages(
        np.array([each[0] for each in loaded], np.uint8).reshape(*shape, channels),
        np.array([each[1] for each in loaded], np.bool_).reshape(shape),
        tuple(record["defect"] for _, _, record in loaded),
        tuple(record["path"] for _, _, record in loaded),
        NativeMasks(records),
        unmasked=frozenset(
            index
            for index, (_, _, record) in enumerate(loaded)
            if record["defect"] != GOOD and not record["has_mask"]
        ),
    )
