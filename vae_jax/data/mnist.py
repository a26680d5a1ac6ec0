"""Handwritten digits as categories: one or all normal, with strokes as defects."""

import hashlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vae_jax.data import image_sets, images, strokes
from vae_jax.data.category import CategoryData, TestImages, validation_split
from vae_jax.data.concurrency import Progress
from vae_jax.data.image_sets import SIDE, ImageSet
from vae_jax.data.layout import GOOD

STROKES_SEED = 0
"""Of the test images: the same whatever the seed of a run."""


def load_digits(
    data_dir: str | Path | None, *, progress: Progress | None = None
) -> ImageSet:
    """MNIST from a folder of TensorFlow Datasets; without one, the embedded digits.

    Arguments and errors are those of `image_sets.load`.
    """
    return image_sets.load(data_dir=data_dir, progress=progress)


def one_digit(
    digits: ImageSet,
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
    digits: ImageSet, *, size: int = SIDE, seed: int, validation_share: float = 0.1
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


def _test_images(digits: ImageSet, digit: int, size: int) -> TestImages:
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
