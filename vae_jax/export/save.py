"""Writes a detector to a file, and checks what was written."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, PyTree

import vae_jax
from vae_jax.calibration import Calibration
from vae_jax.export.archive import CHECK, METADATA, PROGRAM, WEIGHTS
from vae_jax.export.detector import Detector, HostImages, Maps, load_detector
from vae_jax.export.metadata import FORMAT, FORMAT_VERSION

MapFunction = Callable[[Any, Array], Array]
"""From a tree of weights and float32 images in [0, 1] to maps [batch size size]."""

PLATFORMS = ("cpu", "cuda", "tpu")
_MEANING = {
    "input": "8-bit images, gray or RGB, upright by their EXIF orientation, resized to "
    "size x size whatever their aspect, with an antialiased triangle filter (PIL's "
    "BILINEAR); divided by 255 inside; vae_jax.data.images reads and resizes files so",
    "map": "raw anomaly map: higher is more anomalous, and maps of images compare",
    "score": "of an image: the highest value of its map",
    "threshold": "an image or a pixel is marked where its score reaches the threshold",
    "calibrated": "a raw score's place among held-out normal images, from 0 to 1",
}


def save_detector(
    path: Path,
    function: MapFunction,
    weights: PyTree[Array | np.ndarray],
    *,
    images: HostImages,
    maps: Maps,
    calibration: Calibration,
    about: Mapping[str, Any],
    tolerance: float = 1e-5,
) -> Detector:
    """Exports `function(weights, images)` for any number of images.

    The file is written, loaded again, and its maps are compared with the live ones;
    then only it appears, whole.

    Args:
        path: of the file.
        function: pure, and makes the map of each image of that image alone.
        weights: any tree of arrays; kept beside the program.
        images: 8-bit, of the size and channels that the detector is for.
        maps: what the live code makes of `images`.
        calibration: from the live maps of held-out normal images.
        about: what else its users should know, as JSON: data, method, settings.
        tolerance: the largest difference from `maps` allowed, as a share of the highest
            of their absolute values.

    Returns:
        The detector as loaded from the file, with the difference in its metadata.

    Raises:
        ValueError: the difference is larger, or there is no image to tell.
    """
    if not len(images) or maps.shape != images.shape[:3]:
        raise ValueError(
            "save_detector: at least one image and its map are needed to check the "
            f"file by, got images {list(images.shape)} and maps {list(maps.shape)}."
        )
    named = _named(weights)
    with _appearing_whole(path) as partial:
        program = _export(function, jax.tree.structure(weights), named, images.shape)
        metadata = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "image": {"size": images.shape[1], "channels": images.shape[3]},
            "meaning": _MEANING,
            "platforms": list(PLATFORMS),
            "exported_with": {"jax": jax.__version__, "vae_jax": vae_jax.__version__},
            "about": dict(about),
            "calibration": calibration.as_dict(),
            "sha256": _write_parts(partial, program, named),
        }
        _append_json(partial, METADATA, metadata)
        detector = load_detector(partial)
        difference = _difference(detector.maps(images), maps)
        if not difference <= tolerance:
            raise ValueError(
                f"save_detector: the exported maps differ from the live ones by "
                f"{difference:.1e} of their highest value, more than {tolerance:.0e}; "
                f"{path} was not written."
            )
        checked = {
            "largest_difference": difference,
            "tolerance": tolerance,
            "images": len(images),
            "device": jax.devices()[0].device_kind,
        }
        _append_json(partial, CHECK, checked)
    return dataclasses.replace(
        detector, metadata=detector.metadata | {"check": checked}
    )


def _named(weights: PyTree[Array | np.ndarray]) -> dict[str, np.ndarray]:
    """The leaves by their paths in the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(weights)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)
        for path, leaf in leaves
    }


def _export(
    function: MapFunction,
    structure: Any,
    named: Mapping[str, np.ndarray],
    image_shape: tuple[int, ...],
) -> bytes:
    """The program from named weights and any number of images to maps."""

    def maps_of(leaves: Mapping[str, Array], images: Array) -> Array:
        tree = jax.tree.unflatten(structure, [leaves[name] for name in named])
        # One by one, so that only the batch has an unknown size, and no function
        # must know of it.
        return jax.vmap(lambda image: function(tree, image[None])[0])(images)

    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), dict(named))
    any_number = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((*any_number, *image_shape[1:]), jnp.float32)
    # Accelerators multiply float32 in fewer bits unless they are told not to.
    with jax.default_matmul_precision("highest"), _without_source_locations():
        exported = export.export(jax.jit(maps_of), platforms=PLATFORMS)(shapes, images)
    (found,) = exported.out_avals
    if found.shape[1:] != image_shape[1:3] or found.dtype != jnp.float32:
        raise ValueError(
            f"save_detector: function must return float32 maps [batch "
            f"{image_shape[1]} {image_shape[2]}], got {found.dtype} {found.shape}."
        )
    return bytes(exported.serialize())


@contextlib.contextmanager
def _without_source_locations() -> Iterator[None]:
    """Keeps the exporting machine's paths out of the file: the same is the same."""
    option = "jax_traceback_in_locations_limit"
    limit = jax.config.values[option]
    jax.config.update(option, 0)
    try:
        yield
    finally:
        jax.config.update(option, limit)


def _write_parts(
    path: Path, program: bytes, named: Mapping[str, np.ndarray]
) -> dict[str, str]:
    """Begins the archive; returns the SHA-256 of each file in it."""
    digests = {}

    def write(name: str, content: bytes) -> None:
        archive.writestr(zipfile.ZipInfo(name), content)
        digests[name] = hashlib.sha256(content).hexdigest()

    with zipfile.ZipFile(path, "w") as archive:
        write(PROGRAM, program)
        for name, values in named.items():
            buffer = io.BytesIO()
            np.save(buffer, values, allow_pickle=False)
            write(f"{WEIGHTS}{name}.npy", buffer.getvalue())
    return digests


def _append_json(path: Path, name: str, content: Mapping[str, Any]) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        text = json.dumps(content, indent=1, allow_nan=False)
        archive.writestr(zipfile.ZipInfo(name), text)


def _difference(found: Maps, expected: Maps) -> float:
    """The largest, as a share of the highest |expected|; NaN if either has one."""
    largest, scale = np.abs(found - expected).max(), np.abs(expected).max()
    return float(largest / scale) if scale else float(largest)


@contextlib.contextmanager
def _appearing_whole(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` unless something is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
