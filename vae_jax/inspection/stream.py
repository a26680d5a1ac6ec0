"""Images of any size from disk through a detector to files, in bounded memory.

Reading, the device and writing overlap: while the device works on a batch, threads
read the next and write the one before.
"""

import collections
import errno
import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data import folder, images
from vae_jax.data.concurrency import thread_count
from vae_jax.data.tiling import Corner, Tiling
from vae_jax.inspection import marking
from vae_jax.inspection.plan import Plan

PIXELS_IN_FLIGHT = 80_000_000
"""Read and not yet written: about 4 bytes each, 13 while an image is drawn. A single
image with more goes alone."""
_STAGES = 3
"""Batches on their way: one is read, one mapped, one written."""


class Seconds(NamedTuple):
    """Time spent on an image, by stage; of a batch, each image has its share."""

    read: float
    map: float
    write: float


class Inspected(NamedTuple):
    """What was found in one image, whose pictures, if any are wanted, are drawn."""

    name: str
    sha256: str
    """Of the bytes of the file, as they were read."""
    score: float
    marked_share: float
    """Of the pixels, reach the threshold."""
    height: int
    width: int
    tiles: int
    seconds: Seconds
    map: Float[np.ndarray, "rows columns"] | None = None
    """Raw, at the model's size, or at the image's if that was cut; None once drawn."""


class Failed(NamedTuple):
    """An image that could not be inspected."""

    name: str
    reason: str


class _Loaded(NamedTuple):
    name: str
    sha256: str
    pixels: UInt8[np.ndarray, "height width channel"]
    whole: UInt8[np.ndarray, "size size channel"] | None
    """At the model's size; None for an image that is to be cut."""
    seconds: float


class _Mapped(NamedTuple):
    loaded: _Loaded
    values: Float[np.ndarray, "rows columns"]
    score: float
    tiles: int
    seconds: float = 0.0


class _Batch(NamedTuple):
    pixels: int
    names: list[str]
    futures: list[Future]


def look_at(plan: Plan, names: Iterable[str]) -> Iterator[Inspected | Failed]:
    """Maps and scores every image, and draws it; yields in the order of `names`.

    Raises:
        OSError: a file cannot be written, and so no further one could.
    """
    reading, writing = collections.deque[_Batch](), collections.deque[_Batch]()
    pool = ThreadPoolExecutor(thread_count())

    def read(batch: _Batch) -> None:
        futures = [pool.submit(_read, plan, name) for name in batch.names]
        reading.append(batch._replace(futures=futures))

    def map_oldest() -> None:
        batch = reading.popleft()
        mapped = _map(plan, [future.result() for future in batch.futures])
        futures = [pool.submit(_write, plan, each) for each in mapped]
        writing.append(batch._replace(futures=futures))

    def oldest_written() -> Iterator[Inspected | Failed]:
        return (future.result() for future in writing.popleft().futures)

    try:
        for batch in _batches(plan, names):
            while (reading or writing) and _too_many(batch, *reading, *writing):
                if not writing:
                    map_oldest()
                yield from oldest_written()
            read(batch)
            if len(reading) > 1:
                map_oldest()
            if len(writing) > 1:
                yield from oldest_written()
        while reading or writing:
            if reading:
                map_oldest()
            yield from oldest_written()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(plan: Plan, names: Iterable[str]) -> Iterator[_Batch]:
    """As many images as the device takes at once, or fewer that are large."""
    batch = _Batch(0, [], [])
    for name in names:
        pixels = folder.pixel_count(plan.root / name)
        is_full = len(batch.names) == plan.detector.batch_size
        if batch.names and (
            is_full or _STAGES * (batch.pixels + pixels) > PIXELS_IN_FLIGHT
        ):
            yield batch
            batch = _Batch(0, [], [])
        batch = _Batch(batch.pixels + pixels, [*batch.names, name], [])
    if batch.names:
        yield batch


def _too_many(*batches: _Batch) -> bool:
    return sum(batch.pixels for batch in batches) > PIXELS_IN_FLIGHT


def _read(plan: Plan, name: str) -> _Loaded | Failed:
    start = time.perf_counter()
    size, channels = plan.detector.image_size, plan.detector.channels
    try:
        path = plan.root / name
        encoded = folder.read_bytes("read_image", path, name=str(path))
        pixels = images.decode(
            encoded, channels=channels, name=str(path), bits=plan.bits
        )
        # Tiles, too: they would be reflections of a few pixels.
        height, width, _ = pixels.shape
        images.refuse_small(height, width, size, name=name)
        is_cut = plan.tiles and max(height, width) > plan.whole_up_to
        whole = None if is_cut else images.stretch(pixels, size)
    except ValueError as error:
        return Failed(name, str(error))
    digest = hashlib.sha256(encoded).hexdigest()
    return _Loaded(name, digest, pixels, whole, time.perf_counter() - start)


def _map(plan: Plan, read: Sequence[_Loaded | Failed]) -> list[_Mapped | Failed]:
    """Maps what could be read; the order stays."""
    start = time.perf_counter()
    loaded = [each for each in read if isinstance(each, _Loaded)]
    whole = iter(_map_whole(plan, [each for each in loaded if each.whole is not None]))
    mapped = [
        next(whole) if each.whole is not None else _map_tiles(plan, each)
        for each in loaded
    ]
    share = (time.perf_counter() - start) / max(len(loaded), 1)
    timed = iter([each._replace(seconds=share) for each in mapped])
    return [each if isinstance(each, Failed) else next(timed) for each in read]


def _map_whole(plan: Plan, loaded: Sequence[_Loaded]) -> list[_Mapped]:
    views = [each.whole for each in loaded if each.whole is not None]
    if not views:
        return []
    maps = plan.detector.maps(np.stack(views))
    scores = plan.detector.scores(maps)
    return [
        _Mapped(each, values, float(score), tiles=1)
        for each, values, score in zip(loaded, maps, scores, strict=True)
    ]


def _map_tiles(plan: Plan, loaded: _Loaded) -> _Mapped:
    """The blended map, and the score of the tile with the highest."""
    tiles = plan.tiles
    assert tiles is not None, "an image that is not cut has a whole view"
    height, width, _ = loaded.pixels.shape
    tiling = Tiling(height, width, *tiles)
    scores = []

    def tile_maps() -> Iterator[tuple[Corner, np.ndarray]]:
        for start in range(0, len(tiling.corners), plan.detector.batch_size):
            corners = tiling.corners[start : start + plan.detector.batch_size]
            cuts = (tiling.cut(loaded.pixels, corner) for corner in corners)
            size = plan.detector.image_size
            views = [images.resize(cut, size, name=loaded.name) for cut in cuts]
            maps = plan.detector.maps(np.stack(views))
            scores.extend(plan.detector.scores(maps))
            square = tiles.side, tiles.side
            for corner, values in zip(corners, maps, strict=True):
                yield corner, marking.resized(values, square, slice(0, tiles.side))

    blended = tiling.blend(tile_maps())
    return _Mapped(loaded, blended, float(max(scores)), len(scores))


def _write(plan: Plan, mapped: _Mapped | Failed) -> Inspected | Failed:
    if isinstance(mapped, Failed):
        return mapped
    start = time.perf_counter()
    loaded, values, score, tiles, map_seconds = mapped
    name, digest, pixels, _, read_seconds = loaded
    if not (np.isfinite(score) and np.isfinite(values).all()):
        return Failed(name, f"inspect: the map of {name} has NaN or infinite values.")
    threshold, size = plan.thresholds.pixel, pixels.shape[:2]
    try:
        if plan.marks is None:
            mask = marking.mask_of(values, size, threshold=threshold)
        else:
            mask = marking.draw(plan.marks, name, pixels, values, threshold=threshold)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return Failed(name, f"inspect: {name} gives too long a name; rename it.")
    height, width, _ = pixels.shape
    seconds = Seconds(read_seconds, map_seconds, time.perf_counter() - start)
    kept = values.copy() if plan.marks is None else None  # of its batch
    share = float(mask.mean())
    return Inspected(name, digest, score, share, height, width, tiles, seconds, kept)
