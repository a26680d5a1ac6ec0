"""Endless training batches that are a function of the step alone.

Everything is a grain `MapDataset`, so batch k is `dataset[k]`: a run that stops after
step k goes on with `start_step=k`, on any number of threads or processes.
"""

import dataclasses
import functools
from collections.abc import Iterator

import grain
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vae_jax.data import images
from vae_jax.data.augment import NONE, Augmentation, augment
from vae_jax.data.category import ImageSource
from vae_jax.data.concurrency import thread_count

ENDLESS = 2**48
"""Images in a stream; more than any run will read."""

Batch = dict[str, np.ndarray]
"""{"image": float32 [batch height width channel] in [0, 1]}, and what else is said."""


@dataclasses.dataclass(frozen=True)
class Augment(grain.transforms.RandomMap):
    """Applies one drawn transformation to each image, another in each epoch."""

    augmentation: Augmentation
    crop: int | None = None

    def random_map(
        self, element: UInt8[np.ndarray, "..."], rng: np.random.Generator
    ) -> UInt8[np.ndarray, "..."]:
        """Augments one image with the generator of this record and epoch."""
        return augment(element, self.augmentation, rng=rng, crop=self.crop)


class ToFloat(grain.transforms.Map):
    """Names a batch of 8-bit images and scales it, all at once."""

    def map(self, element: UInt8[np.ndarray, "..."]) -> Batch:
        """Scales to float32 in [0, 1]."""
        return {"image": images.to_float(element)}


class ShuffledEpochs:
    """Random access to an endless stream: epoch after epoch, each in its own order.

    grain's own shuffle finds each index by walking a cycle of 65,536 places, which for
    a few hundred images takes as long as turning them; here an epoch's order is drawn
    once.
    """

    def __init__(self, source: ImageSource, *, seed: int):
        self._source = source
        self._seed = seed
        # Several epochs are in flight where batches are larger than the data set.
        self._order = functools.lru_cache(maxsize=64)(self._draw_order)

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "height width channel"]:
        epoch, position = divmod(index, len(self._source))
        return self._source[int(self._order(epoch)[position])]

    def _draw_order(self, epoch: int) -> Int[np.ndarray, " image"]:
        rng = np.random.default_rng(np.random.SeedSequence((self._seed, epoch)))
        return rng.permutation(len(self._source))


def train_dataset(
    source: ImageSource,
    *,
    batch_size: int,
    seed: int,
    augmentation: Augmentation = NONE,
    crop: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> grain.MapDataset:
    """Returns the endless sequence of this process' batches.

    The epochs, each shuffled and augmented anew, follow each other without a gap: no
    image is dropped, and a batch may be larger than the data set. Process p of n holds
    the p-th of n equal blocks of rows of each batch, so that the blocks side by side
    are the batch that one process alone would hold.

    Args:
        source: random access to 8-bit images of one shape.
        batch_size: images per step over all processes.
        seed: of shuffling and augmentation.
        augmentation: what may be done to an image.
        crop: side in pixels of a random square, of which a new one is cut out of each
            image in each epoch; by default images are whole.
        process_index: of this process.
        process_count: over which each batch is divided.

    Raises:
        ValueError: no image, a `crop` larger than the images, or `batch_size` not a
            positive multiple of the processes.
    """
    if len(source) == 0:
        raise ValueError("train_dataset: the source must hold an image, got none.")
    if crop is not None and not 1 <= crop <= min(source[0].shape[:2]):
        raise ValueError(
            f"train_dataset: crop must be from 1 pixel to the side of the images, "
            f"{min(source[0].shape[:2])}, got {crop}; take larger images."
        )
    if batch_size < 1 or batch_size % process_count:
        raise ValueError(
            f"train_dataset: batch_size must be a positive multiple of the "
            f"{process_count} processes, got {batch_size}."
        )
    return (
        grain.MapDataset.source(ShuffledEpochs(source, seed=seed))
        .seed(seed)
        .random_map(Augment(augmentation, crop))
        # Divided after the random map, whose draws depend on the place in the stream.
        .batch(batch_size // process_count, drop_remainder=True)
        .slice(slice(process_index, None, process_count))
        .map(ToFloat())
    )


def train_batches(
    source: ImageSource,
    *,
    batch_size: int,
    seed: int,
    augmentation: Augmentation = NONE,
    crop: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
    start_step: int = 0,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields the batches of `train_dataset` from `start_step` on, made in threads.

    None takes as many `threads` as there are cores, at most 8; 0 makes the batches
    where they are asked for. The batches are the same.
    """
    threads = thread_count() if threads is None else threads
    dataset = train_dataset(
        source,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation,
        crop=crop,
        process_index=process_index,
        process_count=process_count,
    )
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(2 * threads, 1)
    )
    return iter(dataset.slice(slice(start_step, None)).to_iter_dataset(options))


def eval_batches(
    pixels: UInt8[np.ndarray, "image height width channel"], *, batch_size: int
) -> Iterator[
    dict[
        str,
        Float[np.ndarray, "batch height width channel"] | Bool[np.ndarray, " batch"],
    ]
]:
    """Yields every image once, in order, in batches of one size.

    The last batch is filled with its last image; "valid" is False there.

    Raises:
        ValueError: `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ValueError(
            f"eval_batches: batch_size must be at least 1 image, got {batch_size}."
        )
    for start in range(0, len(pixels), batch_size):
        chosen = np.arange(start, start + batch_size)
        valid = chosen < len(pixels)
        yield {
            "image": images.to_float(pixels[np.minimum(chosen, len(pixels) - 1)]),
            "valid": valid,
        }
