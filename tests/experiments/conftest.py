"""A detector whose maps are known, so that what is made of them can be told."""

import dataclasses
import os

import numpy as np
import pytest


@dataclasses.dataclass
class Brightness:
    """The map of an image is how bright it is, its score the brightest pixel."""

    image_size: int = 32
    channels: int = 1
    batch_size: int = 4
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


@pytest.fixture(scope="session")
def one_device(tmp_path_factory) -> dict[str, str]:
    """The environment of a process as a user starts it, that compiles nothing twice."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    return inherited | {
        "XLA_FLAGS": "",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
