"""Prepared records of tfds, labelled with factors and in any order, as a whole grid."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.json_format import ParseError
from jaxtyping import UInt8

from vae_jax.data import images
from vae_jax.data.factors import FactorGrid, GridImages
from vae_jax.data.prepared import quiet_tfds

_AT_A_TIME = 4096

_BROKEN = (ValueError, LookupError, OSError, RuntimeError, ParseError)
"""What tfds and array_record raise where files are missing or broken."""

Pixels = UInt8[np.ndarray, "image height width channel"]
Stored = UInt8[np.ndarray, "image ..."]


def read_grid(
    folder: Path,
    labels: Mapping[str, str],
    *,
    channels: int,
    store: Callable[[Pixels], Stored],
    source: str,
) -> GridImages:
    """Reads every record, and puts the images into the order of the factors.

    Args:
        folder: named after the set; of its versions, or configurations and versions,
            the last is read. Array records: no TensorFlow is needed.
        labels: the names of the factors in the grid's order, each with its feature.
        channels: of the images.
        store: what is kept of images.
        source: what the set is called.

    Raises:
        ValueError: no such records, or not one image for each combination.
    """
    try:
        records, grid = _open(folder, labels)
        return GridImages(_stored(records, grid, labels, channels, store), grid, source)
    except _BROKEN as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise ValueError(
            f"read_grid: {folder} must hold {source} as array records, one image for "
            f"each combination of the factors, got something else ({reason[0]}); "
            f'prepare it anew, with file_format="array_record".'
        ) from error


def _open(
    folder: Path, labels: Mapping[str, str]
) -> tuple[Sequence[dict[str, Any]], FactorGrid]:
    versions = [path.parent for path in folder.glob("**/dataset_info.json")]
    if not versions:
        raise ValueError("there is no dataset_info.json")
    builder = tfds.builder_from_directory(max(versions, key=_by_number))
    features: Any = builder.info.features
    sizes = (features[label].num_classes for label in labels.values())
    with quiet_tfds():
        records: Any = builder.as_data_source(
            split="train",  # pyright: ignore[reportCallIssue]  hidden by a decorator
            decoders={"image": tfds.decode.SkipDecoding()},
        )
    return records, FactorGrid(tuple(labels), tuple(sizes))


def _by_number(version: Path) -> tuple[Path, list[int]]:
    """Orders configurations by name, and of each the versions: 9.0.0, then 10.0.0."""
    return version.parent, [int(part) for part in re.findall(r"\d+", version.name)]


def _stored(
    records: Any,
    grid: FactorGrid,
    labels: Mapping[str, str],
    channels: int,
    store: Callable[[Pixels], Stored],
) -> Stored:
    placed, stored = np.zeros(grid.size, np.bool_), None
    for start in range(0, len(records), _AT_A_TIME):
        some = records.__getitems__(range(start, min(start + _AT_A_TIME, len(records))))
        classes = [[record[label] for label in labels.values()] for record in some]
        index = grid.index(np.array(classes))
        kept = store(_decoded(some, channels))
        if stored is None:
            stored = np.empty((grid.size, *kept.shape[1:]), np.uint8)
        stored[index], placed[index] = kept, True
    if stored is None or not placed.all() or len(records) != grid.size:
        raise ValueError(
            f"{placed.sum()} of {grid.size} combinations in {len(records)} records"
        )
    return stored


def _decoded(records: Sequence[dict[str, Any]], channels: int) -> Pixels:
    # In one thread: images this small would only wait for each other.
    return np.stack(
        [
            images.decode(record["image"], channels=channels, name="an image")
            for record in records
        ]
    )
