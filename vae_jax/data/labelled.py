"""Test images with what is known of their defects: masks, or that there is one."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from vae_jax.data.layout import GOOD
from vae_jax.data.masks import decode_mask
from vae_jax.data.prepared import Records


class NativeMasks:
    """The masks of a split as published, decoded one by one to bound memory."""

    def __init__(self, records: Records):
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Bool[np.ndarray, "height width"]:
        record = self._records[index]
        return decode_mask(record["mask"], name=f"mask of {record['path']}")

    def __iter__(self) -> Iterator[Bool[np.ndarray, "height width"]]:
        return (self[index] for index in range(len(self)))


@dataclasses.dataclass(frozen=True)
class TestImages:
    """The test split at the model's size; it may hold no image at all."""

    __test__ = False  # not a test class for pytest

    images: UInt8[np.ndarray, "image size size channel"]
    masks: Bool[np.ndarray, "image size size"]
    defects: tuple[str, ...]
    """The kind of each image's defect; "good" where it has none."""
    paths: tuple[str, ...]
    native_masks: NativeMasks | Sequence[Bool[np.ndarray, "_ _"]]
    """At the sizes in which they were published."""
    has_masks: bool = True
    """False where only whole images are labelled, and `masks` says nothing."""
    unmasked: frozenset[int] = frozenset()
    """Where `masks` says nothing of single images, although they have a defect."""

    @property
    def is_anomalous(self) -> Bool[np.ndarray, " image"]:
        """True where the image has a defect."""
        return np.array([defect != GOOD for defect in self.defects], np.bool_)

    @property
    def is_masked(self) -> Bool[np.ndarray, " image"]:
        """True where `masks` says which pixels are normal and which are not."""
        known = [index not in self.unmasked for index in range(len(self.defects))]
        return np.array(known, np.bool_) & self.has_masks

    @property
    def has_both_classes(self) -> bool:
        """Whether there is anything to tell apart."""
        return len(set(self.is_anomalous.tolist())) == 2

    @property
    def has_masked_defects(self) -> bool:
        """Whether there is a mask of any image with a defect, however small it is."""
        return bool((self.is_masked & self.is_anomalous).any())

    @property
    def can_score_pixels(self) -> bool:
        """Whether `masks` tell some apart: small ones vanish at the model's size."""
        return self.has_masks and self.has_both_classes and bool(self.masks.any())
