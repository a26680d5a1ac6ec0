"""Handwritten digits: MNIST, or a small set that scikit-learn ships; one or all.

MNIST: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE, 1998.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int, UInt8
from PIL import Image

from vae_jax.data import images, strokes
from vae_jax.data.category import CategoryData, TestImages, validation_split
from vae_jax.data.concurrency import Progress
from vae_jax.data.layout import GOOD

SIDE = 28
EMBEDDED_SOURCE = "scikit-learn digits, 8x8 upscaled"
EMBEDDED_TEST_IMAGES = 600
"""The last third, about 60 of each digit."""
STROKES_SEED = 0
"""Of the test images: the same whatever the seed of a run."""


@dataclasses.dataclass(frozen=True)
class Digits:
    """Every digit, divided into training and test images as published."""

    source: str
    """What it is, for tables."""
    train_images: UInt8[np.ndarray, "train 28 28 1"]
    train_labels: Int[np.ndarray, " train"]
    test_images: UInt8[np.ndarray, "test 28 28 1"]
    test_labels: Int[np.ndarray, " test"]


def load_digits(
    data_dir: str | Path | None, *, progress: Progress | None = None
) -> Digits:
    """MNIST from a folder of TensorFlow Datasets, or the embedded set.

    The embedded set, without `data_dir`, is scikit-learn's: 1,797 digits of 8x8 pixels,
    upscaled to 20x20 and centred in 28x28, as MNIST's are. It is not MNIST.

    Args:
        data_dir: the folder that holds mnist/3.0.1 as array records; nothing is
            downloaded.
        progress: called as (done, total) while images are decoded.

    Raises:
        ValueError: no such data in the folder, or scikit-learn is not installed.
    """
    return _embedded() if data_dir is None else _mnist(Path(data_dir), progress)


def one_digit(
    digits: Digits,
    digit: int,
    *,
    size: int = SIDE,
    seed: int,
    validation_share: float = 0.1,
) -> CategoryData:
    """One digit as the normal category, with strokes as defects.

    Every second of its test images is left as it is ("good"); a stroke is pasted on or
    erased from the others in turn, with exact masks.

    Args:
        digits: from `load_digits`.
        digit: what is normal.
        size: side of the images in pixels, at least 28.
        seed: chooses the validation images, and nothing else.
        validation_share: of the training images, see `validation_split`.

    Raises:
        ValueError: there is no such digit, or `size` is less than that of the images.
    """
    if size < SIDE:
        raise ValueError(
            f"one_digit: size must be at least the {SIDE} pixels of the images, got "
            f"{size}; smaller ones would lose strokes."
        )
    normal = np.flatnonzero(digits.train_labels == digit)
    if not len(normal):
        known = ", ".join(map(str, np.unique(digits.train_labels)))
        raise ValueError(f"one_digit: there is no digit {digit}; known: {known}.")
    kept, held_out = validation_split(
        [f"train/{i:05}" for i in normal], share=validation_share, seed=seed
    )
    training = digits.train_images[normal]
    return CategoryData(
        category=f"digit{digit}",
        train=_stretch(training[kept], size),
        validation=_stretch(training[held_out], size),
        test=_test_images(digits, digit, size),
        channels=1,
        sha256=_sha256(training, digits.test_images[digits.test_labels == digit]),
        at_size=lambda other: one_digit(
            digits, digit, size=other, seed=seed, validation_share=validation_share
        ),
    )


def all_digits(
    digits: Digits, *, size: int = SIDE, seed: int, validation_share: float = 0.1
) -> CategoryData:
    """Every digit as one category, in which all test images are normal ("good").

    The arguments are those of `one_digit`.
    """
    kept, held_out = validation_split(
        [f"train/{i:05}" for i in range(len(digits.train_images))],
        share=validation_share,
        seed=seed,
    )
    count = len(digits.test_images)
    masks = np.zeros((count, size, size), np.bool_)
    return CategoryData(
        category="digits",
        train=_stretch(digits.train_images[kept], size),
        validation=_stretch(digits.train_images[held_out], size),
        test=TestImages(
            images=_stretch(digits.test_images, size),
            masks=masks,
            defects=(GOOD,) * count,
            paths=tuple(f"test/{i:05}" for i in range(count)),
            native_masks=list(masks[:, :SIDE, :SIDE]),
        ),
        channels=1,
        sha256=_sha256(digits.train_images, digits.test_images),
        at_size=lambda other: all_digits(
            digits, size=other, seed=seed, validation_share=validation_share
        ),
    )


def _test_images(digits: Digits, digit: int, size: int) -> TestImages:
    indices = np.flatnonzero(digits.test_labels == digit)
    pixels = digits.test_images[indices]
    masks = np.zeros(pixels.shape[:3], np.bool_)
    defects = [GOOD] * len(indices)
    pixels[1::2], masks[1::2], defects[1::2] = strokes.add_strokes(
        pixels[1::2], seed=STROKES_SEED
    )
    return TestImages(
        images=_stretch(pixels, size),
        masks=np.stack([images.resize_mask(mask, size) for mask in masks]),
        defects=tuple(defects),
        paths=tuple(f"test/{i:05}" for i in indices),
        native_masks=list(masks),
    )


def _embedded() -> Digits:
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ValueError(
            "load_digits: the embedded digits are scikit-learn's, which is not "
            "installed; pip install scikit-learn, or give the folder of MNIST."
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
    return Digits(
        EMBEDDED_SOURCE, centred[train], labels[train], centred[test], labels[test]
    )


def _mnist(folder: Path, progress: Progress | None) -> Digits:
    folder = folder.expanduser()
    if not (folder / "mnist").is_dir():
        raise ValueError(
            f"load_digits: {folder} must be a folder of TensorFlow Datasets that holds "
            "mnist/3.0.1, got none; name the folder above mnist."
        )
    (train, train_labels), (test, test_labels) = (
        _read_split(folder, split) for split in ("train", "test")
    )
    total, done = len(train) + len(test), 0

    def decode(encoded: bytes) -> UInt8[np.ndarray, "28 28 1"]:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)
        return images.decode(encoded, channels=1, name="a digit of MNIST")

    # In one thread: an image is so small that threads would only wait for each other.
    train_images, test_images = (np.stack([*map(decode, x)]) for x in (train, test))
    return Digits("MNIST", train_images, train_labels, test_images, test_labels)


def _read_split(
    folder: Path, split: str
) -> tuple[list[bytes], Int[np.ndarray, " image"]]:
    """The encoded images, and what they show."""
    try:
        source: Any = tfds.data_source(
            "mnist",
            split=split,
            data_dir=folder,
            download=False,
            decoders={"image": tfds.decode.SkipDecoding()},
        )
        records = source.__getitems__(range(len(source)))
    except Exception as error:  # tfds raises many kinds for one cause
        raise ValueError(
            f"load_digits: {folder}/mnist must hold MNIST as array records, got "
            f"something else ({str(error).splitlines()[0]}); prepare it with "
            'tfds.builder("mnist", file_format="array_record").'
        ) from error
    labels = np.array([record["label"] for record in records], np.int64)
    return [record["image"] for record in records], labels


def _stretch(
    pixels: UInt8[np.ndarray, "image height width 1"], size: int
) -> UInt8[np.ndarray, "image size size 1"]:
    if pixels.shape[1:3] == (size, size):
        return pixels
    return np.stack([images.stretch(image, size) for image in pixels])


def _sha256(
    train_images: UInt8[np.ndarray, "train 28 28 1"],
    test_images: UInt8[np.ndarray, "test 28 28 1"],
) -> str:
    content = hashlib.sha256()
    content.update(train_images.tobytes())
    content.update(test_images.tobytes())
    return content.hexdigest()
