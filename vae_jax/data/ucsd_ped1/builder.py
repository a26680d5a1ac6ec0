"""UCSD Ped1 as a TensorFlow Datasets builder that needs no TensorFlow.

The dataset: Mahadevan, Li, Bhalodia, Vasconcelos, "Anomaly detection in crowded
scenes", CVPR 2010; version 1.2 of its folder.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8

from vae_jax.data import images, prepared
from vae_jax.data.concurrency import Progress, all_or_told, in_threads
from vae_jax.data.folder import read_bytes
from vae_jax.data.layout import GOOD
from vae_jax.data.masks import decode_mask
from vae_jax.data.ucsd_ped1.layout import LABEL_FILE, Clip, find_root, list_clips

MOST_UNREADABLE = 2
"""Frames of one clip for which a neighbour may stand in."""


@dataclasses.dataclass(eq=False)
class Config(tfds.core.BuilderConfig):
    """The masks that are read."""

    masks_dir: str | None = None
    """Of somebody else's annotation of every clip; None: the published masks."""


class UCSDPed1(tfds.core.GeneratorBasedBuilder):
    """A walkway under a fixed camera: people are normal, bicycles and carts are not.

    Beside what every builder takes: `progress`, called as (done, total) with the frames
    of each split in turn while it is prepared.
    """

    name = "ucsd_ped1"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}  # noqa: RUF012 (declared by tfds)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack http://www.svcl.ucsd.edu/projects/anomaly/UCSD_Anomaly_Dataset.tar.gz "
        "there."
    )
    BUILDER_CONFIGS = [  # noqa: RUF012 (declared by tfds)
        Config(name="published", description="with the masks of ten test clips")
    ]

    def __init__(self, *, progress: Progress | None = None, **options: Any):
        super().__init__(**options)
        self._progress = progress

    @property
    def config(self) -> Config:
        """What this builder reads."""
        assert isinstance(self.builder_config, Config)
        return self.builder_config

    @property
    def manifest(self) -> dict[str, Any]:
        """What was prepared.

        `sha256` (over all files, by content), `files` (name -> sha256), and
        `substituted` (frame that cannot be read -> frame that stands in for it).
        """
        assert isinstance(self.info.metadata, dict)
        return self.info.metadata

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            homepage="http://www.svcl.ucsd.edu/projects/anomaly/dataset.html",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
            features=prepared.features(channels=1),
        )

    def _split_generators(
        self, dl_manager: tfds.download.DownloadManager
    ) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        files = list_clips(
            os.fspath(dl_manager.manual_dir), masks_dir=self.config.masks_dir
        )
        self.manifest.update(substituted={}, **prepared.hash_contents(files.files))
        return {
            "train": self._generate_examples(files.train),
            "test": self._generate_examples(files.test),
        }

    def _generate_examples(
        self, clips: Sequence[Clip]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields frames and masks; without a mask, has_mask is False and it is empty.

        `defect` of an anomalous frame is the name of its clip.
        """
        total = sum(len(clip.frames) for clip in clips)
        count = itertools.count()
        for clip in clips:
            frames, stand_ins = read_frames(clip)
            self.manifest["substituted"].update(stand_ins)
            masks, labels = self._masks_and_labels(clip, frames)
            encoded = zip(
                in_threads(images.encode, frames),
                in_threads(images.encode, masks),
                strict=True,
            )
            for path, (frame, mask), label in zip(
                clip.frames, encoded, labels, strict=True
            ):
                index = next(count)
                record = prepared.Record(
                    image=frame,
                    mask=mask,
                    has_mask=clip.masks is not None,
                    defect=clip.name if label else GOOD,
                    path=_name(path),
                )
                yield index, dict(record)
            if self._progress is not None:
                self._progress(index + 1, total)

    def _masks_and_labels(
        self, clip: Clip, frames: Sequence[UInt8[np.ndarray, "..."]]
    ) -> tuple[list[UInt8[np.ndarray, "height width"]], Sequence[bool]]:
        if clip.masks is None:
            return [np.zeros_like(frame[..., 0]) for frame in frames], clip.is_anomalous
        masks = read_masks(clip, [frame.shape[:2] for frame in frames])
        shown = [bool(mask.any()) for mask in masks]
        if self.config.masks_dir is None:
            _require_equal(shown, clip)
        return masks, shown


def prepare(
    data_dir: str | Path,
    prepared_dir: str | Path,
    *,
    masks_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> UCSDPed1:
    """Converts the set to array records once and returns the builder that reads it.

    The result lies in a folder below `prepared_dir` that is named after the state of
    the source (see `prepared.fingerprint`), so that a changed source is converted anew.
    It appears there whole or not at all. `builder.manifest` says what it holds.

    Args:
        data_dir: UCSDped1, the folder that holds it, or the one above.
        prepared_dir: where array records are kept between runs.
        masks_dir: see `list_clips`.
        progress: called as (done, total) with the frames of each split in turn.

    Raises:
        ValueError: a bad folder (see `list_clips`), more than two frames of a clip that
            cannot be read, a mask of another size than its frame, or masks that
            contradict the label file.
        OSError: `prepared_dir` cannot be written, or the disk is full.
    """
    files = list_clips(data_dir, masks_dir=masks_dir)
    config = UCSDPed1.BUILDER_CONFIGS[0]
    if masks_dir is not None:
        config = Config(name="full", masks_dir=os.fspath(Path(masks_dir).expanduser()))
    folder = f"ped1-{config.name}-{prepared.fingerprint(files.files)}"
    return prepared.prepare_once(
        functools.partial(_builder, config, progress),
        Path(prepared_dir).expanduser() / folder,
        name="ped1",
        manual_dir=find_root(data_dir),
    )


def _builder(config: Config, progress: Progress | None, data_dir: Path) -> UCSDPed1:
    return UCSDPed1(
        config=config,
        data_dir=data_dir,
        file_format="array_record",
        progress=progress,
    )


def read_frames(
    clip: Clip,
) -> tuple[list[UInt8[np.ndarray, "height width 1"]], dict[str, str]]:
    """Decodes the frames; for one that cannot be read its nearest neighbour stands in.

    A frame of the published set (Test017/142.tif) is reported to be broken. Returns the
    frames, and which stands in for which.

    Raises:
        ValueError: more than two frames cannot be read.
    """
    read = in_threads(_read_frame, clip.frames)
    usable = [index for index, frame in enumerate(read) if frame is not None]
    broken = [index for index, frame in enumerate(read) if frame is None]
    if len(broken) > MOST_UNREADABLE or not usable:
        raise ValueError(
            f"read_frames: {len(broken)} of {len(read)} frames of {clip.name} cannot "
            f"be read, the first is {clip.frames[broken[0]]}; fetch them again."
        )
    frames, stand_ins = [], {}
    for index in range(len(read)):
        nearest = min(usable, key=lambda other, here=index: abs(other - here))
        frames.append(read[nearest])
        if nearest != index:
            stand_ins[_name(clip.frames[index])] = _name(clip.frames[nearest])
    return frames, stand_ins


def read_masks(
    clip: Clip, shapes: Sequence[tuple[int, int]]
) -> list[UInt8[np.ndarray, "height width"]]:
    """Decodes the masks of a clip that has them to 0 and 255.

    Raises:
        ValueError: one cannot be read, or is not of the size of its frame.
    """
    assert clip.masks is not None
    masks = all_or_told(_read_mask, clip.masks, who="read_masks")
    for mask, path, shape in zip(masks, clip.masks, shapes, strict=True):
        if mask.shape != shape:
            raise ValueError(
                f"read_masks: {path} is {mask.shape[0]}x{mask.shape[1]} pixels, its "
                f"frame {shape[0]}x{shape[1]}; a mask has its frame's size."
            )
    return masks


def _require_equal(shown: Sequence[bool], clip: Clip) -> None:
    """Masks and label file say the same; if not, one of them is of another clip."""
    pairs = zip(shown, clip.is_anomalous, strict=True)
    wrong = [number for number, (seen, said) in enumerate(pairs, 1) if seen != said]
    if wrong:
        verb = "has" if shown[wrong[0] - 1] else "has no"
        raise ValueError(
            f"UCSDPed1: the masks of {clip.name} contradict {LABEL_FILE} in "
            f"{len(wrong)} frames: frame {wrong[0]} {verb} anomalous pixels; restore "
            "the published files."
        )


def _read_frame(path: Path) -> UInt8[np.ndarray, "height width 1"] | None:
    try:
        encoded = read_bytes("read_frames", path, name=_name(path))
        return images.decode(encoded, channels=1, name=_name(path))
    except ValueError:
        return None


def _read_mask(path: Path) -> UInt8[np.ndarray, "height width"]:
    encoded = read_bytes("read_masks", path, name=_name(path))
    mask = decode_mask(encoded, name=_name(path))
    return mask.astype(np.uint8) * np.uint8(255)


def _name(path: Path) -> str:
    """Split, clip and file."""
    return "/".join(path.parts[-3:])
