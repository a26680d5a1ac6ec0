"""What a detector's file says of itself, checked before anything is made of it."""

import json
import math
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_jax.export.archive import CHECK, METADATA, damaged

FORMAT = "vae_jax detector"
FORMAT_VERSION = 1

MOST_BYTES = 2**25
"""Of JSON, whose values take 20 times as many; a million held-out images have less."""
_KINDS: dict[str, tuple[type, str]] = {
    "format_version": (int, "a whole number"),
    "image": (dict, "an object"),
    "image.size": (int, "a whole number"),
    "image.channels": (int, "a whole number"),
    "exported_with": (dict, "an object"),
    "exported_with.jax": (str, "a text"),
    "sha256": (dict, "an object"),
    "calibration": (dict, "an object"),
    "about": (dict, "an object"),
}
"""Of each value that is used; an object comes before what is in it."""


def read_metadata(path: str | Path, parts: Mapping[str, bytes]) -> dict[str, Any]:
    """metadata.json, and check.json as "check".

    Raises:
        ValueError: it is of no detector or of a newer format, or a value that is used
            is missing, of another type, or out of its range; the message names it.
    """
    metadata = _parse(path, parts, METADATA)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(
            f"load_detector: {path} is an archive but no detector; give the "
            "detector.zip that a run has written."
        )
    for place, (kind, wanted) in _KINDS.items():
        _require(path, place, _at(metadata, place), type_of=kind, wanted=wanted)
    version = metadata["format_version"]
    if version < 1:
        raise damaged(path, f"{METADATA}: format_version is from 1 on, got {version}")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"load_detector: {path} has format {version}, and this vae_jax reads up to "
            f"{FORMAT_VERSION}; update vae_jax."
        )
    check = _parse(path, parts, CHECK)
    if not isinstance(check, dict | None):
        raise damaged(path, f"{CHECK} must be an object, got {reprlib.repr(check)}")
    return metadata | {"check": check}


def _parse(path: str | Path, parts: Mapping[str, bytes], name: str) -> Any:
    """The values of a JSON file, None if it is not there; of numbers only finite ones.

    Python's own reader takes NaN and Infinity for numbers, which JSON does not have.
    """
    text = parts.get(name, b"null")
    if len(text) > MOST_BYTES:
        raise damaged(path, f"{name} has {len(text)} bytes, more than {MOST_BYTES}")
    try:
        return json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"{name}: {error}") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"numbers must be finite, got {text[:20]}")
    return value


def _at(metadata: dict[str, Any], place: str) -> Any:
    value: Any = metadata
    for key in place.split("."):
        value = value.get(key)
    return value


def _require(
    path: str | Path, place: str, value: Any, *, type_of: type, wanted: str
) -> None:
    if type(value) is not type_of:  # a bool would pass for a whole number
        raise damaged(
            path, f"{METADATA}: {place} must be {wanted}, got {reprlib.repr(value)}"
        )
