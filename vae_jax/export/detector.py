"""Loads a detector from its file, and runs it."""

import dataclasses
import io
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Bool, Float, Shaped

from vae_jax.calibration import Calibration, image_threshold
from vae_jax.export import archive
from vae_jax.export.archive import METADATA, PROGRAM, WEIGHTS
from vae_jax.export.metadata import read_metadata

Maps = Float[np.ndarray, "image size size"]
HostImages = Shaped[np.ndarray, "image size size channel"]

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""By the version of numpy's format."""


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
        ValueError: the file is no detector, damaged or malformed in whatever way, of a
            newer format, or not for this version of jax or this platform.
        OSError: there is no such file, or it may not be read.
    """
    if batch_size < 1:
        raise ValueError(
            f"load_detector: batch_size must be at least 1 image, got {batch_size}."
        )
    parts = archive.read_parts(path)
    metadata = read_metadata(path, parts)
    archive.check_digests(path, parts, metadata["sha256"])
    try:
        known = Calibration.from_dict(metadata["calibration"])
    except ValueError as error:
        raise archive.damaged(path, f"{METADATA}: {error}") from error
    program = _read_program(path, parts[PROGRAM], metadata["exported_with"]["jax"])
    weights = _read_weights(path, parts, _weights_of(path, program, metadata["image"]))
    run = jax.jit(program.call)
    return Detector(metadata, known, batch_size, lambda images: run(weights, images))


def _read_program(path: str | Path, content: bytes, version: str) -> export.Exported:
    try:
        program = export.deserialize(bytearray(content))
        program.mlir_module()  # what it does is read only then
    except Exception as error:  # a cut one gives struct.error, and others more
        reason = " ".join(str(error).split())
        raise ValueError(
            f"load_detector: {path} was exported with jax {version} and cannot be read "
            f"with jax {jax.__version__} ({reason}); install jax {version}, or export "
            "again."
        ) from error
    platform = export.default_export_platform()
    if platform not in program.platforms:
        raise ValueError(
            f"load_detector: {path} was exported for {', '.join(program.platforms)}, "
            f"and this process runs on {platform}; set JAX_PLATFORMS=cpu."
        )
    return program


def _weights_of(
    path: str | Path, program: export.Exported, image: Mapping[str, int]
) -> dict[str, Any]:
    """The shapes and types of the weights that the program is called with.

    Raises:
        ValueError: it does not map weights and such images to maps.
    """
    side = image["size"]
    try:
        (weights, images), named = jax.tree.unflatten(program.in_tree, program.in_avals)
        (maps,) = program.out_avals
        count, *shape = images.shape
        is_sound = (
            isinstance(weights, dict)
            and not named
            and export.is_symbolic_dim(count)
            and shape == [side, side, image["channels"]]
            and maps.shape == (count, side, side)
            and images.dtype == maps.dtype == np.float32
        )
    except (AttributeError, TypeError, ValueError):
        is_sound = False
    if not is_sound or side < 1 or image["channels"] not in (1, 3):
        raise archive.damaged(
            path,
            f"{PROGRAM} does not make maps of any number of images of the size and "
            f"channels {reprlib.repr(dict(image))} of {METADATA}",
        )
    return weights


def _read_weights(
    path: str | Path, parts: Mapping[str, bytes], wanted: Mapping[str, Any]
) -> dict[str, Array]:
    """The arrays that the program wants, of which the headers are believed only then.

    Raises:
        ValueError: one is missing, left over, or of another shape, type or length.
    """
    found = {name for name in parts if name.startswith(WEIGHTS)}
    if found != {f"{WEIGHTS}{name}.npy" for name in wanted}:
        raise archive.damaged(path, f"{WEIGHTS} is not what {PROGRAM} is called with")
    weights = {}
    for name, want in wanted.items():
        file = f"{WEIGHTS}{name}.npy"
        if not _is_array_of(parts[file], want):
            raise archive.damaged(
                path, f"{file} is no array of {want.dtype} {list(want.shape)}"
            )
        values = np.load(io.BytesIO(parts[file]), allow_pickle=False)
        if values.dtype.kind == "V":
            values = values.view(want.dtype)
        weights[name] = jnp.asarray(values)
        if weights[name].dtype != want.dtype:
            raise ValueError(
                f"load_detector: {path} was exported with weights of {want.dtype}, "
                "which jax has here switched off; set JAX_ENABLE_X64=1, or export "
                "again without."
            )
    return weights


def _is_array_of(content: bytes, want: Any) -> bool:
    """Whether it is a whole file of numpy, of that shape and type; by its header."""
    file = io.BytesIO(content)
    try:
        read_header = _HEADERS[np.lib.format.read_magic(file)]
        shape, _, dtype = read_header(file)
    except (KeyError, ValueError):
        return False
    if dtype.kind in "biufc":
        # Of a program without 64 bits the weights may have them, and are cut.
        is_type = want.dtype in (dtype, jax.dtypes.canonicalize_dtype(dtype))
    else:
        # A type that numpy does not know, such as bfloat16, is written as raw bytes.
        is_type = want.dtype.kind == "V" and dtype == np.dtype(
            f"V{want.dtype.itemsize}"
        )
    rest = len(content) - file.tell()
    return is_type and shape == want.shape and rest == want.size * dtype.itemsize
