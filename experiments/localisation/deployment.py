"""From a trained network to a file that inspects images elsewhere."""

import dataclasses
import time

from experiments.localisation.fit import Fit
from experiments.localisation.prepare import Prepared
from experiments.localisation.score import Row
from vae_jax import calibration, detection
from vae_jax.calibration import LEVEL, usual_area, usual_level
from vae_jax.detection import HostImages, HostMaps
from vae_jax.export import Detector
from vae_jax.software import versions

FILE = "detector.zip"


def deploy(prepared: Prepared, network: Fit, normal_maps: HostMaps) -> Row:
    """Writes the default method as detector.zip of the category; returns its figures.

    `normal_maps` are its live maps of the held-out normal images, by which the file is
    calibrated and checked.

    Raises:
        ValueError: the file's maps are not the live ones.
    """
    start, path = time.perf_counter(), prepared.folder / FILE
    data, explainer = prepared.data, network.explainer
    fitted = detection.make_detector(
        *network,
        held_out=data.validation,
        held_out_maps=normal_maps,
        about=_about(prepared, explainer.choice),
    )
    detector = fitted.save(path)
    good = data.test.images[~data.test.is_anomalous]
    return {
        "method": explainer.choice,
        "file": FILE,
        "bytes": path.stat().st_size,
        "largest_difference": detector.metadata["check"]["largest_difference"],
        **thresholds_and_rates(detector, good),
        "seconds": time.perf_counter() - start,
    }


def thresholds_and_rates(detector: Detector, good: HostImages) -> Row:
    """The usual thresholds: the false alarms promised, and those on other images.

    `good` are normal images that had no part in training or calibration. Of pixels
    nothing is promised: their threshold is the one from which no calibration image
    shows a region of 0.1 % of it, and the rate is that of the pixels of these images.
    """
    known = detector.calibration
    level, area = usual_level(known), usual_area(detector.image_size)
    image, pixel = known.conformal_threshold(level), known.area_threshold(area)
    row = {
        "calibration_images": known.images.count,
        "image_threshold": image,
        "promised_image_rate": level,
        "pixel_threshold": pixel,
        "calibration_pixel_rate": known.pixels.rate_at(pixel),
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
    """The figures of `deploy` in a line or two, what is promised beside what is found.

    Found are counts: 0 % of one image would reassure, and tell next to nothing.
    """
    level, others = row["promised_image_rate"], row["held_out_images"]
    few = f" (so few images cannot promise {LEVEL:.0%})" if level > LEVEL else ""
    found = "no other normal image to compare with"
    if others:
        alarms = round(row["held_out_image_rate"] * others)
        found = (
            f"of {others} other normal images {alarms} reach it, and "
            f"{100 * row['held_out_pixel_rate']:.2g}% of their pixels"
        )
    return (
        f"{row['file']}: {row['method']}, {row['bytes'] / 1e6:.1f} MB, "
        f"{row['largest_difference']:.0e} from the live maps. Its image threshold, "
        f"from {row['calibration_images']} normal images, promises at most {level:.1%} "
        f"false alarms{few}, its pixel threshold nothing; {found}."
    )


def _about(prepared: Prepared, method: str) -> Row:
    """What a detector's users may want to know of its making."""
    settings, data = prepared.settings, prepared.data
    told = dataclasses.asdict(settings)
    del told["workdir"]  # a place on the machine that trained
    return {
        "category": data.category,
        "method": method,
        "tap": settings.tap,
        "settings": told,
        "data": {
            "sha256": data.sha256,
            "train_images": len(data.train),
            "validation_images": len(data.validation),
            "native_size": data.native_size,
            "bits": data.bits,
        },
        "versions": versions(),
    }
