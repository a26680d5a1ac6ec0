"""A detector whose maps are known, so that what is made of them can be told."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from vae_jax.calibration import Calibration, from_normal_maps


def normal_maps() -> np.ndarray:
    """Of 39 held-out normal images the i-th has brightness i."""
    return np.arange(39, dtype=np.float32)[:, None, None] * np.ones((32, 32)) / 255


@dataclasses.dataclass
class Brightness:
    """The map of an image is how bright it is, its score the brightest pixel."""

    image_size: int = 32
    channels: int = 1
    batch_size: int = 4
    metadata: dict[str, Any] = dataclasses.field(default_factory=lambda: {"about": {}})
    calibration: Calibration = dataclasses.field(
        default_factory=lambda: from_normal_maps(normal_maps())
    )
    batches: list[int] = dataclasses.field(default_factory=list)
    """The images of each call."""

    def maps(self, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8
        assert images.shape[1:] == (self.image_size, self.image_size, self.channels)
        self.batches.append(len(images))
        return images.mean(-1, dtype=np.float32) / np.float32(255)

    def scores(self, maps: np.ndarray) -> np.ndarray:
        return maps.max((1, 2))


@pytest.fixture
def brightness() -> Brightness:
    return Brightness()
