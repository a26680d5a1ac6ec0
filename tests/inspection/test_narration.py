"""What is said of a threshold is what it promises, and not what flatters it."""

import dataclasses

import numpy as np
import pytest

from vae_jax.calibration import from_normal_maps
from vae_jax.inspection import Settings, findings, narration, plan


def held_out(brightness, count):
    maps = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((32, 32))
    known = from_normal_maps(maps.astype(np.float32))
    return dataclasses.replace(brightness, calibration=known)


@pytest.mark.parametrize(
    ("count", "settings", "told"),
    [
        (
            39,
            Settings(),
            "auto: at most 5% of new normal images are; of 39 held-out ones 1 are)",
        ),
        (
            1,
            Settings(),
            "auto: at most 50% of new normal images are, as so few held-out ones "
            "cannot promise 5%; of 1 held-out ones 0 are)",
        ),
        (
            39,
            Settings(tile=32, image_threshold="conformal:0.1"),
            "conformal:0.1: at most 10% of new normal images, or of their tiles where "
            "they are cut, are; of 39 held-out ones 3 are)",
        ),
        (
            1,
            Settings(image_threshold="rate:0"),
            "rate:0: no promise of new normal images; of 1 held-out ones 0 are)",
        ),
        (
            9999,
            Settings(image_threshold="conformal:0.0002"),
            "conformal:0.0002: at most 0.02% of new normal images are; of 9999",
        ),
    ],
)
def test_a_threshold_is_announced_with_its_promise(
    brightness, tmp_path, capsys, count, settings, told
):
    detector = held_out(brightness, count)
    done = plan.make_plan(settings, detector, root=tmp_path, out=tmp_path)
    narration.announce(settings, detector, done.thresholds, todo=3)
    said = capsys.readouterr().err
    assert said.startswith("3 images to inspect; an image is anomalous from ")
    assert told in said
    assert "auto: no promise of new ones; of those of held-out images 0.00%" in said


@pytest.mark.parametrize(
    ("rule", "promised"), [("auto", 0.5), ("conformal:0.6", 0.6), ("rate:0", None)]
)
def test_the_summary_holds_the_promise_and_what_was_found(
    brightness, tmp_path, rule, promised
):
    settings, detector = Settings(image_threshold=rule), held_out(brightness, 1)
    done = plan.make_plan(settings, detector, root=tmp_path, out=tmp_path)
    assert done.marks is not None
    rules = findings.about(settings, detector, done, done.marks)["rules"]
    assert rules["promised_rate"] == promised
    assert rules["held_out_images"] == 1
    assert rules["held_out_images_anomalous"] == 0
    assert rules["held_out_pixel_rate"] == 0
