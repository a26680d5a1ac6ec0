"""A small detector as a file, and others that differ from it in some of its parts."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vae_jax.calibration import from_normal_maps
from vae_jax.export import save_detector

SIDE = 8


@pytest.fixture(scope="session")
def parts(tmp_path_factory) -> dict[str, bytes]:
    """What is in the file of a detector whose map is twice the image."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, SIDE, SIDE, 1), np.uint8)
    maps = images[..., 0] / np.float32(255) * 2
    path = tmp_path_factory.mktemp("small") / "detector.zip"
    save_detector(
        path,
        lambda weights, images: weights["gain"] * images[..., 0],
        {"gain": np.array(2.0, np.float32)},
        images=images,
        maps=maps,
        calibration=from_normal_maps(maps),
        about={},
    )
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def packed(parts, tmp_path) -> Callable[..., Path]:
    """A file of these parts but for some; None leaves one out.

    With `signed` the digests are those of the changed parts, as a stranger's would be.
    """

    def pack(changes=(), *, signed=False, **options) -> Path:
        content = parts | dict(changes)
        if signed:
            metadata = json.loads(content["metadata.json"])
            metadata["sha256"] = {
                name: hashlib.sha256(value).hexdigest()
                for name, value in content.items()
                if value is not None and not name.endswith(".json")
            }
            content["metadata.json"] = json.dumps(metadata).encode()
        path = tmp_path / "detector.zip"
        with zipfile.ZipFile(path, "w", **options) as archive:
            for name, value in content.items():
                if value is not None:
                    archive.writestr(name, value)
        return path

    return pack
