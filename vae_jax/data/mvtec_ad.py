"""MVTec AD as a TensorFlow Datasets builder that needs no TensorFlow.

The dataset: Bergmann, Fauser, Sattlegger, Steger, "MVTec AD - A Comprehensive
Real-World Dataset for Unsupervised Anomaly Detection", CVPR 2019.
"""

import dataclasses
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vae_jax.data import images, prepared
from vae_jax.data.folder import is_colour, read_bytes
from vae_jax.data.layout import (
    CategoryFiles,
    Entry,
    MissingMasks,
    find_categories,
    list_category,
)
from vae_jax.data.prepared import Record, Records, open_split
from vae_jax.data.survey import survey

__all__ = [
    "DESCRIPTIONS",
    "TEXTURES",
    "MVTecAD",
    "Record",
    "Records",
    "find_categories",
    "open_split",
    "prepare",
]

DESCRIPTIONS = {
    "bottle": "bottle mouths seen from above",
    "cable": "cross-sections of three-core cables",
    "capsule": "printed two-colour capsules",
    "carpet": "woven carpet",
    "grid": "wire grids, gray",
    "hazelnut": "hazelnuts in any orientation",
    "leather": "leather",
    "metal_nut": "metal nuts seen from above",
    "pill": "printed speckled pills",
    "screw": "screws in any orientation, gray",
    "tile": "speckled tiles",
    "toothbrush": "toothbrush heads",
    "transistor": "transistors mounted on a board",
    "wood": "wood with vertical grain",
    "zipper": "zippers, gray",
}
"""The fifteen published categories."""

TEXTURES = frozenset(
    {"carpet", "grid", "leather", "tile", "wood", "synthetic_fabric", "synthetic_wood"}
)
"""Categories of which a part is as good as the whole; the others are objects."""

GRAY_CATEGORIES = frozenset({"grid", "screw", "zipper"})

SIDES = dict.fromkeys(DESCRIPTIONS, 1024) | {
    "bottle": 900,
    "capsule": 1000,
    "metal_nut": 700,
    "pill": 800,
    "tile": 840,
}
"""Of the published images, which are square, in pixels."""


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """One category."""

    category: str = ""
    channels: int = 3
    missing_masks: MissingMasks = "error"


class MVTecAD(tfds.core.GeneratorBasedBuilder):
    """Industrial images, normal ones to train on and defective ones with masks."""

    name = "mvtec_ad"
    VERSION = tfds.core.Version("1.2.0")
    RELEASE_NOTES = {  # noqa: RUF012 (declared by tfds)
        "1.0.0": "First release.",
        "1.1.0": "The manifest says what the images are like.",
        "1.2.0": "Colour and size are those of all images; masks may be missing.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack MVTec AD (https://www.mvtec.com/company/research/datasets/mvtec-ad) "
        "so that the folder holds <category>/train/good, test and ground_truth."
    )
    BUILDER_CONFIGS = [  # noqa: RUF012 (declared by tfds)
        Config(
            name=category,
            description=text,
            category=category,
            channels=1 if category in GRAY_CATEGORIES else 3,
        )
        for category, text in DESCRIPTIONS.items()
    ]

    @property
    def config(self) -> Config:
        """The category that this builder reads."""
        assert isinstance(self.builder_config, Config)
        return self.builder_config

    @property
    def manifest(self) -> dict[str, Any]:
        """What was prepared.

        `sha256` (over all files, by content) and `files` (path -> sha256); the counts
        of `images`, `gray_images`, `unmasked_images` (with a defect but no mask),
        `skipped_masks` and `unusual_masks` (not of black and white); the
        `shortest_side` of all images; of the training images the median height and
        width, `native_size`, the `headers` that occur, and the `bits` in use (see
        `images.bits_used`); and `is_published`: whether it is, by layout, size and
        colour, a published category and no namesake.
        """
        assert isinstance(self.info.metadata, dict)
        return self.info.metadata

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            homepage="https://www.mvtec.com/company/research/datasets/mvtec-ad",
            license="CC BY-NC-SA 4.0 (the published categories)",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
            features=prepared.features(channels=self.config.channels),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        files = list_category(
            os.fspath(dl_manager.manual_dir),
            self.config.category,
            missing_masks=self.config.missing_masks,
        )
        found = survey(files)
        self.manifest.update(
            unmasked_images=len(files.unmasked),
            skipped_masks=len(files.skipped_masks),
            is_published=_is_published(files, found["headers"], self.config.category),
            **found,
        )
        parts = {"train": files.train, "test": files.test}
        return {
            name: self._generate_examples(files.folder, entries)
            for name, entries in parts.items()
            if entries  # tfds refuses an empty split
        }

    def _generate_examples(
        self, folder: Path, entries: Sequence[Entry]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the files byte for byte; a normal image gets an empty mask."""
        for index, entry in enumerate(entries):
            encoded = read_bytes("prepare", folder / entry.image, name=entry.image)
            yield (
                index,
                {
                    "image": encoded,
                    "mask": _read_mask(folder, entry, encoded),
                    "has_mask": entry.mask is not None,
                    "defect": entry.defect,
                    "path": entry.image,
                },
            )


def prepare(
    data_dir: str | Path,
    category: str,
    prepared_dir: str | Path,
    *,
    missing_masks: MissingMasks = "error",
) -> MVTecAD:
    """Converts a category to array records once and returns the builder that reads it.

    The result lies in a folder below `prepared_dir` that is named after the state of
    the source (see `prepared.fingerprint`), so that a changed source is converted anew,
    and after the version of what is kept. It appears there whole or not at all.
    `builder.manifest` says what it holds.

    Raises:
        ValueError: bad folder, category or pairing (see `list_category`), or bad images
            and masks, of which all are named (see `survey`).
        OSError: `prepared_dir` cannot be written, or the disk is full.
    """
    files = list_category(data_dir, category, missing_masks=missing_masks)
    config = _config(files, category, missing_masks)
    state = f"{MVTecAD.VERSION}-{prepared.fingerprint(files.files)}"
    final = Path(prepared_dir).expanduser() / f"{config.name}-{state}"
    return prepared.prepare_once(
        functools.partial(_builder, config),
        final,
        name=config.name,
        manual_dir=Path(data_dir).expanduser(),
    )


def _builder(config: Config, data_dir: Path) -> MVTecAD:
    return MVTecAD(config=config, data_dir=data_dir, file_format="array_record")


def _config(files: CategoryFiles, category: str, missing_masks: MissingMasks) -> Config:
    published = MVTecAD.builder_configs.get(category)
    channels = _channels(files)
    suffix = "" if files.is_as_published else "-normals"
    if isinstance(published, Config) and files.is_as_published:
        if channels != published.channels:
            # The name of a published category stands for what is like it alone.
            suffix = "-own"
        elif missing_masks == "error":
            return published
    suffix += "" if missing_masks == "error" else "-paired"
    return Config(
        name=category + suffix,
        description=DESCRIPTIONS.get(category, category),
        category=category,
        channels=channels,
        missing_masks=missing_masks,
    )


def _is_published(
    files: CategoryFiles, headers: Sequence[Sequence[int]], category: str
) -> bool:
    side = SIDES.get(category, 0)
    published = [side, side, 1 if category in GRAY_CATEGORIES else 3]
    return files.is_as_published and list(headers) == [published]


def _channels(files: CategoryFiles) -> int:
    """Of what keeps every image's colour."""
    entries = (*files.train, *files.test)
    return 3 if any(is_colour(files.folder / entry.image) for entry in entries) else 1


def _read_mask(folder: Path, entry: Entry, image: bytes) -> bytes:
    if entry.mask is not None:
        return read_bytes("prepare", folder / entry.mask, name=entry.mask)
    height, width, _ = images.read_header(image, name=entry.image)
    return images.encode(np.zeros((height, width), np.uint8))
