"""What is done with every image: thresholds, scales and tiles, once for all of them."""

import dataclasses
import math
import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.calibration import Calibration, image_threshold, pixel_threshold
from vae_jax.data.images import smallest_side
from vae_jax.inspection.marking import Marks, Scale
from vae_jax.inspection.settings import Settings

MAP_HEADROOM = 64.0
"""A 16-bit map reaches so many times as far as the pixels of held-out images."""
COLOUR_HEADROOM = 3.0
"""The colours of an overlay reach so many times as far as 999 of 1000 of these."""


@runtime_checkable
class Detector(Protocol):
    """From square images to raw anomaly maps and scores; `vae_jax.export` has one."""

    @property
    def image_size(self) -> int:
        """Side of the images, in pixels."""
        ...

    @property
    def channels(self) -> int:
        """1, gray, or 3."""
        ...

    @property
    def batch_size(self) -> int:
        """Images that it takes at a time."""
        ...

    def maps(
        self, images: UInt8[np.ndarray, "batch size size channel"]
    ) -> Float[np.ndarray, "batch size size"]:
        """One raw map an image; higher is more anomalous."""
        ...

    def scores(
        self, maps: Float[np.ndarray, "batch size size"]
    ) -> Float[np.ndarray, " batch"]:
        """One raw score a map."""
        ...


@runtime_checkable
class Calibrated(Detector, Protocol):
    """One that knows held-out normal images; `detection` and `export` have them."""

    @property
    def calibration(self) -> Calibration:
        """Thresholds and p-values."""
        ...

    @property
    def metadata(self) -> dict[str, Any]:
        """What is said of its making, under "about"."""
        ...


class Tiles(NamedTuple):
    """How images are cut, in their own pixels."""

    side: int
    overlap: int


class Thresholds(NamedTuple):
    """Raw values from which on an image, or a pixel, is anomalous."""

    image: float
    pixel: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done with every image."""

    detector: Detector
    root: Path
    """The folder that names are relative to."""
    thresholds: Thresholds
    marks: Marks | None = None
    """The pictures that are drawn of each image; None: none, its map is handed on."""
    tiles: Tiles | None = None
    """None: every image is resized whole, as in training."""
    whole_up_to: int = 0
    """Images with no longer side than this are not cut."""
    bits: int = 16
    """Of 16-bit values, those in use, as in training; see `images.decode`."""


def make_plan(
    settings: Settings, detector: Calibrated, *, root: Path, out: Path | None = None
) -> Plan:
    """What is done with every image, by the settings and the detector's calibration.

    Args:
        settings: as a user gives them.
        detector: what makes the maps.
        root: the folder that names are relative to.
        out: where pictures are drawn, None for no pictures.

    Raises:
        ValueError: an impossible threshold, or tiles too small for the detector.
    """
    known = detector.calibration
    thresholds = Thresholds(
        image_threshold(settings.image_threshold, known),
        pixel_threshold(
            settings.pixel_threshold, known, image_size=detector.image_size
        ),
    )
    marks = None
    if out is not None:
        middle, high = known.pixels.quantile(0.5), known.pixels.quantile(0.999)
        low, top = known.pixels.quantile(0.0), known.pixels.quantile(1.0)
        marks = Marks(
            out,
            map_scale=_scale(low, top, MAP_HEADROOM),
            colours=_scale(middle, high, COLOUR_HEADROOM),
        )
    return Plan(
        detector,
        root,
        thresholds,
        marks,
        *cut(settings, detector),
        bits=_bits_of(detector),
    )


def cut(settings: Settings, detector: Calibrated) -> tuple[Tiles | None, int]:
    """Which tiles are cut, by the settings, and how long a side may be without it.

    Raises:
        ValueError: tiles too small for the detector or for their overlap, or `auto` for
            a detector that does not say how large its training images were.
    """
    if settings.tile is None:
        return None, 0
    side, whole_up_to = settings.tile, 0
    if side == "auto":
        native_size = _native_size_of(detector)
        side, whole_up_to = min(native_size), math.floor(1.5 * max(native_size))
    least = smallest_side(detector.image_size)
    if side < least:
        raise ValueError(
            f"--tile must be at least {least} pixels for a detector of "
            f"{detector.image_size} pixels, got {side}."
        )
    overlap = side // 4 if settings.overlap is None else settings.overlap
    if not 0 <= overlap < side:
        raise ValueError(
            f"--overlap must be from 0 to below the tile's {side}, got {overlap}."
        )
    return Tiles(side, overlap), whole_up_to


def _data_of(detector: Calibrated) -> Mapping[str, Any]:
    """What the detector says of its training images; nothing where others made it."""
    data = detector.metadata.get("about", {}).get("data")
    return data if isinstance(data, Mapping) else {}


def _bits_of(detector: Calibrated) -> int:
    bits = _data_of(detector).get("bits", 16)
    if type(bits) is not int or not 8 <= bits <= 16:
        raise ValueError(
            f"the detector says that its images use {reprlib.repr(bits)} bits, not a "
            "whole number from 8 to 16; export it again."
        )
    return bits


def _native_size_of(detector: Calibrated) -> Sequence[int]:
    size = _data_of(detector).get("native_size")
    if size is None:
        raise ValueError(
            "--tile auto: this detector does not say how large its training images "
            "were; give a side in pixels."
        )
    is_pair = isinstance(size, list | tuple) and len(size) == 2
    if not is_pair or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(
            "--tile auto: this detector says that its training images were "
            f"{reprlib.repr(size)} pixels, not a height and a width; give a side."
        )
    return size


def _scale(low: float, high: float, headroom: float) -> Scale:
    # Flat normal maps would leave a scale without extent.
    return Scale(low, low + max(headroom * (high - low), float(np.finfo("f4").tiny)))
