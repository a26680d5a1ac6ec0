"""Small sets of labelled images in memory: digits, clothes, letters, photographs.

MNIST: LeCun et al. 1998. Fashion-MNIST: Xiao et al. 2017. Omniglot: Lake et al. 2015.
CIFAR-10: Krizhevsky 2009.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int, UInt8
from PIL import Image

from vae_jax.data import images
from vae_jax.data.concurrency import Progress

SIDE = 28
EMBEDDED_SOURCE = "scikit-learn digits, 8x8 upscaled"
EMBEDDED_TEST_IMAGES = 600
"""The last third, about 60 of each digit."""

Name = Literal["digits", "mnist", "fashion_mnist", "omniglot", "cifar10"]


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Labelled images, divided into training and test images as published."""

    source: str
    """What it is, for tables."""
    train_images: UInt8[np.ndarray, "train height width channel"]
    train_labels: Int[np.ndarray, " train"]
    test_images: UInt8[np.ndarray, "test height width channel"]
    test_labels: Int[np.ndarray, " test"]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels


class _Published(NamedTuple):
    """What a folder of TensorFlow Datasets holds, and how it is read."""

    source: str
    version: str
    splits: Sequence[tuple[str, str]]
    """Training and test; the first of these pairs that is there."""
    channels: int
    is_inverted: bool = False
    """Ink is white in the digits, and so it is here."""
    is_shrunk: bool = False
    """To 28x28 pixels."""


_PUBLISHED = {
    "mnist": _Published("MNIST", "3.0.1", [("train", "test")], 1),
    "fashion_mnist": _Published("Fashion-MNIST", "3.0.1", [("train", "test")], 1),
    "omniglot": _Published(
        "Omniglot, white on black, 28x28",
        "3.0.0",
        [("train", "test"), ("small1", "small2")],
        1,
        is_inverted=True,
        is_shrunk=True,
    ),
    "cifar10": _Published("CIFAR-10", "3.0.2", [("train", "test")], 3),
}


def load(
    name: Name | str | None = None,
    data_dir: str | Path | None = None,
    *,
    progress: Progress | None = None,
) -> ImageSet:
    """An image set from a folder of TensorFlow Datasets, or the embedded digits.

    "digits" are scikit-learn's: 1,797 of 8x8 pixels, upscaled to 20x20 and centred in
    28x28, as MNIST's are. They are not MNIST. The classes of Omniglot are characters;
    where its folder has no train and test, they are the two small background sets.

    Args:
        name: Which; by default "digits", and "mnist" if there is a folder.
        data_dir: The folder that holds mnist/3.0.1 and the like as array records;
            nothing is downloaded.
        progress: Called as (done, total) while images are decoded.

    Raises:
        ValueError: There is no such set, no such data in the folder, a folder is given
            and not read or the reverse, or scikit-learn is not installed.
    """
    name = name or ("digits" if data_dir is None else "mnist")
    if name == "digits":
        if data_dir is not None:
            raise ValueError(
                f"load: the embedded digits need no folder, got {data_dir}; leave it "
                "out, or name what it holds."
            )
        return _embedded()
    if name not in _PUBLISHED:
        known = ", ".join(["digits", *_PUBLISHED])
        raise ValueError(f"load: name must be one of {known}, got {name!r}.")
    if data_dir is None:
        raise ValueError(
            f"load: {name} is read from a folder of TensorFlow Datasets, got none; "
            f"name the folder that holds {name}/{_PUBLISHED[name].version}."
        )
    return _from_folder(name, Path(data_dir).expanduser(), progress)


def _embedded() -> ImageSet:
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ValueError(
            "load: the embedded digits are scikit-learn's, which is not installed; pip "
            "install scikit-learn, or give the folder of MNIST."
        ) from error
    pixels, labels = datasets.load_digits(return_X_y=True)  # 0 to 16
    small = np.rint(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    margin = 4
    size = (SIDE - 2 * margin, SIDE - 2 * margin)
    upscaled = [
        Image.fromarray(image).resize(size, Image.Resampling.BICUBIC) for image in small
    ]
    edges = ((0, 0), (margin, margin), (margin, margin))
    centred = np.pad(np.stack([*map(np.asarray, upscaled)]), edges)[..., None]
    train, test = slice(-EMBEDDED_TEST_IMAGES), slice(-EMBEDDED_TEST_IMAGES, None)
    return ImageSet(
        EMBEDDED_SOURCE, centred[train], labels[train], centred[test], labels[test]
    )


def _from_folder(name: str, folder: Path, progress: Progress | None) -> ImageSet:
    published = _PUBLISHED[name]
    if not (folder / name).is_dir():
        raise ValueError(
            f"load: {folder} must be a folder of TensorFlow Datasets that holds "
            f"{name}/{published.version}, got none; name the folder above {name}."
        )
    source, encoded, labels = _read(name, folder)
    total, done = sum(map(len, encoded)), 0

    def decode(image: bytes) -> UInt8[np.ndarray, "height width channel"]:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)
        return _pixels(published, image)

    # In one thread: an image is so small that threads would only wait for each other.
    train, test = (np.stack([*map(decode, split)]) for split in encoded)
    return ImageSet(source, train, labels[0], test, labels[1])


def _read(
    name: str, folder: Path
) -> tuple[str, list[list[bytes]], list[Int[np.ndarray, " image"]]]:
    """The source, and of training and test the encoded images and their labels."""
    published = _PUBLISHED[name]
    try:
        known = tfds.builder(name, data_dir=folder).info.splits
        splits = next(p for p in published.splits if known.keys() >= set(p))
        records = [_records(name, folder, split) for split in splits]
    except Exception as error:  # tfds raises many kinds for one cause
        reason = (str(error).splitlines() or ["splits of other names"])[0]
        raise ValueError(
            f"load: {folder}/{name} must hold {published.source} as array records, got "
            f'something else ({reason}); prepare it with tfds.builder("{name}", '
            'file_format="array_record").'
        ) from error
    is_usual = splits == published.splits[0]
    source = published.source + ("" if is_usual else f" ({' and '.join(splits)})")
    return (
        source,
        [[record["image"] for record in split] for split in records],
        [np.array([record["label"] for record in split]) for split in records],
    )


def _records(name: str, folder: Path, split: str) -> list[Any]:
    source: Any = tfds.data_source(
        name,
        split=split,
        data_dir=folder,
        download=False,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    return source.__getitems__(range(len(source)))


def _pixels(
    published: _Published, encoded: bytes
) -> UInt8[np.ndarray, "height width channel"]:
    name = f"an image of {published.source}"
    pixels = images.decode(encoded, channels=published.channels, name=name)
    if published.is_inverted:
        pixels = 255 - pixels
    return images.stretch(pixels, SIDE) if published.is_shrunk else pixels
