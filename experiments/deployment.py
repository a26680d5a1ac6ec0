"""From a trained network to a file that inspects images elsewhere."""

import dataclasses
import functools
import time
from pathlib import Path

from jaxtyping import Array

from experiments.evaluation import Row
from experiments.explainer import Explainer, Fitted, HostImages
from experiments.methods import DEFAULT_METHOD, HostMaps, lookup
from experiments.settings import Settings
from experiments.thresholds import usual_area, usual_level
from vae_jax import calibration, report
from vae_jax.data.category import CategoryData
from vae_jax.export import Detector, save_detector

FILE = "detector.zip"
TOLERANCES = {"float32": 1e-5, "bfloat16": 1e-3}
"""Of exported against live maps. Compiled by itself, a program in bfloat16 rounds at
other places than as one of many."""


def deploy(
    folder: Path,
    settings: Settings,
    data: CategoryData,
    explainer: Explainer,
    fitted: Fitted,
    normal_maps: HostMaps,
) -> Row:
    """Writes the default method as `folder`/detector.zip; returns figures of it.

    `normal_maps` are its live maps of `data.validation`, by which the file is
    calibrated and checked.

    Raises:
        ValueError: the file's maps are not the live ones.
    """
    start = time.perf_counter()
    known = calibration.from_normal_maps(normal_maps)
    detector = save_detector(
        folder / FILE,
        functools.partial(_maps, explainer),
        fitted,
        images=data.validation,
        maps=normal_maps,
        calibration=known,
        about=_about(settings, data, explainer),
        tolerance=TOLERANCES[settings.dtype],
    )
    good = data.test.images[~data.test.is_anomalous]
    return {
        "method": explainer.choice,
        "file": FILE,
        "bytes": (folder / FILE).stat().st_size,
        "largest_difference": detector.metadata["check"]["largest_difference"],
        **thresholds_and_rates(detector, good),
        "seconds": time.perf_counter() - start,
    }


def thresholds_and_rates(detector: Detector, good: HostImages) -> Row:
    """The usual thresholds: the false alarms they stand for, and those on other images.

    `good` are normal images that had no part in training or calibration. The nominal
    rate of the pixels is that of the calibration images, at the threshold from which
    none of these shows a region of 0.1 % of an image.
    """
    known = detector.calibration
    level, area = usual_level(known), usual_area(detector.image_size)
    image, pixel = known.conformal_threshold(level), known.area_threshold(area)
    row = {
        "calibration_images": known.images.count,
        "image_threshold": image,
        "image_rate": level,
        "pixel_threshold": pixel,
        "pixel_rate": known.pixels.rate_at(pixel),
        "minimum_area": area,
        "held_out_images": len(good),
    }
    if not len(good):
        return row | {"held_out_image_rate": None, "held_out_pixel_rate": None}
    maps = detector.maps(good)
    scores = detector.scores(maps)
    return row | {
        "held_out_image_rate": calibration.held_out_rate(scores, image),
        "held_out_pixel_rate": calibration.held_out_rate(maps, pixel),
    }


def describe(row: Row) -> str:
    """The figures of `deploy` in a line or two, nominal beside found."""
    found = "no other normal image to compare with"
    if row["held_out_images"]:
        found = (
            f"{row['held_out_image_rate']:.1%} of {row['held_out_images']} other "
            f"normal images reach it, {100 * row['held_out_pixel_rate']:.2g}% of their "
            "pixels"
        )
    return (
        f"{row['file']}: {row['method']}, {row['bytes'] / 1e6:.1f} MB, "
        f"{row['largest_difference']:.0e} from the live maps. Thresholds for "
        f"{row['image_rate']:.1%} false alarms, {100 * row['pixel_rate']:.2g}% of "
        f"normal pixels, from {row['calibration_images']} normal images: {found}."
    )


def _maps(explainer: Explainer, fitted: Fitted, images: Array) -> Array:
    return lookup(DEFAULT_METHOD).maps(explainer, fitted, images)


def _about(settings: Settings, data: CategoryData, explainer: Explainer) -> Row:
    """What a detector's users may want to know of its making."""
    told = dataclasses.asdict(settings)
    del told["workdir"]  # a place on the machine that trained
    return {
        "category": data.category,
        "method": explainer.choice,
        "tap": settings.tap,
        "settings": told,
        "data": {
            "sha256": data.sha256,
            "train_images": len(data.train),
            "validation_images": len(data.validation),
            "native_size": data.native_size,
            "bits": data.bits,
        },
        "versions": report.versions(),
    }
