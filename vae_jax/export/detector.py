"""Loads a detector from its file, and runs it."""

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Bool, Float, Shaped

from vae_jax.calibration import Calibration, image_threshold

Maps = Float[np.ndarray, "image size size"]
HostImages = Shaped[np.ndarray, "image size size channel"]

FORMAT = "vae_jax detector"
FORMAT_VERSION = 1
PROGRAM, METADATA, CHECK = "program.bin", "metadata.json", "check.json"
WEIGHTS = "weights/"


@dataclasses.dataclass(frozen=True, eq=False)  # metadata cannot be hashed
class Detector:
    """Maps and scores images as the trained method did."""

    metadata: dict[str, Any]
    """All that the file says of itself."""
    calibration: Calibration
    """Thresholds and p-values, from held-out normal images."""
    batch_size: int
    """Images at a time, for which the program is compiled once."""
    program: Callable[[Float[np.ndarray, "batch size size channel"]], Array]
    """From float32 images in [0, 1] to maps."""

    @property
    def image_size(self) -> int:
        """Side of the square images, in pixels."""
        return self.metadata["image"]["size"]

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return self.metadata["image"]["channels"]

    def maps(self, images: HostImages) -> Maps:
        """The raw anomaly map of each 8-bit image, float32, higher is more anomalous.

        Raises:
            ValueError: not 8-bit, or not of the detector's size and channels.
        """
        shape = [self.image_size, self.image_size, self.channels]
        if images.dtype != np.uint8 or list(images.shape[1:]) != shape:
            raise ValueError(
                f"Detector.maps: images must be uint8 of shape {shape} each, got "
                f"{images.dtype} of {list(images.shape[1:])}; resize them as training "
                "did, with an antialiased triangle filter (PIL's BILINEAR)."
            )
        maps = np.empty(images.shape[:3], np.float32)
        for start in range(0, len(images), self.batch_size):
            batch = images[start : start + self.batch_size]
            # The last image fills the batch up: zeros may be like no image at all.
            missing = (0, self.batch_size - len(batch)), (0, 0), (0, 0), (0, 0)
            filled = np.divide(np.pad(batch, missing, mode="edge"), np.float32(255))
            found = np.asarray(self.program(filled))
            maps[start : start + len(batch)] = found[: len(batch)]
        return maps

    def scores(self, maps: Maps) -> Float[np.ndarray, " image"]:
        """The raw score of each image: the highest value of its map."""
        return maps.max((1, 2))

    def verdicts(
        self, scores: Float[np.ndarray, " image"], *, threshold: str | float = "auto"
    ) -> Bool[np.ndarray, " image"]:
        """Whether each raw score reaches the threshold: True is anomalous.

        Args:
            scores: of `scores`.
            threshold: a rule or a raw score, see `calibration.image_threshold`; auto
                calls at most 5 % of new normal images anomalous, or as few as the
                number of held-out ones can promise.

        Raises:
            ValueError: there is no such rule, or a score is NaN.
        """
        if np.isnan(scores).any():
            raise ValueError("Detector.verdicts: scores must be numbers, got NaN.")
        return scores >= image_threshold(threshold, self.calibration)


def load_detector(path: str | Path, *, batch_size: int = 32) -> Detector:
    """Reads a file of `save_detector`.

    Args:
        path: the file.
        batch_size: images that the device takes at a time; 1 for the shortest delay.

    Raises:
        ValueError: the file is no detector, damaged, of a newer format, or not for this
            version of jax or this platform.
        OSError: there is no such file, or it may not be read.
    """
    if batch_size < 1:
        raise ValueError(
            f"load_detector: batch_size must be at least 1 image, got {batch_size}."
        )
    files = _read_files(path)
    metadata = _read_metadata(path, files)
    _check_digests(path, files, metadata["sha256"])
    exported = _read_program(path, files[PROGRAM], metadata["exported_with"]["jax"])
    weights = {
        name.removeprefix(WEIGHTS).removesuffix(".npy"): jnp.asarray(
            np.load(io.BytesIO(content), allow_pickle=False)
        )
        for name, content in files.items()
        if name.startswith(WEIGHTS)
    }
    run = jax.jit(exported.call)
    return Detector(
        metadata,
        Calibration.from_dict(metadata["calibration"]),
        batch_size,
        lambda images: run(weights, images),
    )


def _read_files(path: str | Path) -> dict[str, bytes]:
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {name: archive.read(name) for name in archive.namelist()}
        # Damaged bytes make zipfile raise nearly anything.
        except Exception as error:
            raise _damaged(path, " ".join(str(error).split())) from error


def _read_metadata(path: str | Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    metadata = json.loads(files.get(METADATA, b"{}"))
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(
            f"load_detector: {path} is an archive but no detector; give the "
            "detector.zip that a run has written."
        )
    if metadata["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"load_detector: {path} has format {metadata['format_version']}, and this "
            f"vae_jax reads up to {FORMAT_VERSION}; update vae_jax."
        )
    return metadata | {"check": json.loads(files.get(CHECK, b"null"))}


def _check_digests(
    path: str | Path, files: Mapping[str, bytes], digests: Mapping[str, str]
) -> None:
    for name, digest in digests.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != digest:
            raise _damaged(path, f"{name} is not what was exported")


def _read_program(path: str | Path, program: bytes, version: str) -> export.Exported:
    try:
        exported = export.deserialize(bytearray(program))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"load_detector: {path} was exported with jax {version} and cannot be read "
            f"with jax {jax.__version__} ({reason}); install jax {version}, or export "
            "again."
        ) from error
    platform = export.default_export_platform()
    if platform not in exported.platforms:
        raise ValueError(
            f"load_detector: {path} was exported for {', '.join(exported.platforms)}, "
            f"and this process runs on {platform}; set JAX_PLATFORMS=cpu."
        )
    return exported


def _damaged(path: str | Path, reason: str) -> ValueError:
    return ValueError(
        f"load_detector: {path} is no detector, or was damaged or cut short "
        f"({reason}); copy or export it again."
    )
