"""Facts about thresholds set on normal images, and about what they promise."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax import calibration, metrics
from vae_jax.calibration import Calibration, NormalScores

quickly = settings(max_examples=40, deadline=None)
numbers = st.integers(-800, 800).map(lambda eighths: eighths / 8)
some_scores = st.lists(numbers, min_size=1, max_size=30)
levels = st.integers(1, 99).map(lambda percent: percent / 100)


def calibrated_on(scores):
    """From one map of each score: its highest pixel, beside a lower one."""
    scores = np.asarray(scores, np.float32)
    return calibration.from_normal_maps(np.stack([scores, scores - 1], 1)[:, None, :])


def blurred_maps(images=6, size=24, seed=0):
    noise = np.random.default_rng(seed).normal(size=(images, size + 3, size + 3))
    maps = sum(noise[:, i : i + size, j : j + size] for i in range(4) for j in range(4))
    return np.square(maps).astype(np.float32)


def test_image_thresholds_by_hand():
    found = calibrated_on([3.0, 1.0, 2.0, 4.0])
    assert found.images == NormalScores(4, (0, 1, 2, 3), (1.0, 2.0, 3.0, 4.0))
    assert found.images.quantile(0.5) == 2.5
    after = {score: float(np.nextafter(np.float32(score), 9)) for score in (1, 2, 3, 4)}
    assert found.images.threshold_at_rate(0.0) == after[4]
    assert found.images.threshold_at_rate(0.24) == after[4]
    assert found.images.threshold_at_rate(0.25) == after[3]
    assert found.images.threshold_at_rate(0.99) == after[1]
    # ceil(5 (1 - level)) is 4 down to a level of 1/5, and 3 from 2/5 on.
    assert found.conformal_threshold(0.2) == after[4]
    assert found.conformal_threshold(0.39) == after[4]
    assert found.conformal_threshold(0.4) == after[3]
    assert found.smallest_level == 0.2
    found_p = found.p_values(np.array([0.0, 2.0, 2.5, 9.0]))
    np.testing.assert_allclose(found_p, [5 / 5, 4 / 5, 3 / 5, 1 / 5])


def test_a_share_means_the_fraction_that_was_written():
    found = calibrated_on(np.arange(100.0))
    assert 0.29 * 100 < 29  # in binary
    assert found.images.rate_at(found.images.threshold_at_rate(0.29)) == 0.29


def test_the_smallest_level_can_be_asked_for():
    assert 49 * (1 / 49) < 1  # in binary
    for count in range(1, 60):
        found = calibrated_on(np.arange(count, dtype=float))
        largest = np.float32(count - 1)
        assert found.conformal_threshold(found.smallest_level) > largest


@pytest.mark.parametrize(
    ("level", "needed"), [(0.05, 19), (0.01, 99), (0.3, 3), (1 / 49, 48)]
)
def test_too_few_normals_for_a_level_say_how_many_are_needed(level, needed):
    enough = calibrated_on(np.arange(needed, dtype=float))
    highest = np.float32(needed - 1)
    assert enough.conformal_threshold(level) == np.nextafter(highest, np.float32(1e9))
    few = calibrated_on(np.arange(needed - 1, dtype=float))
    with pytest.raises(ValueError, match=f"at least {needed} .* got {needed - 1};"):
        few.conformal_threshold(level)


@quickly
@given(st.lists(numbers, min_size=2, max_size=25), levels)
def test_of_exchangeable_images_a_conformal_threshold_is_reached_by_its_level(
    scores, level
):
    """Each image in turn is the new one: exact, whatever the scores, ties or not."""
    alarms = 0
    for i, score in enumerate(scores):
        others = calibrated_on(scores[:i] + scores[i + 1 :])
        if others.smallest_level <= level:
            alarms += score >= others.conformal_threshold(level)
    assert alarms <= level * len(scores) + 1e-9
    if len(set(scores)) == len(scores):
        assert alarms == math.floor(level * len(scores) + 1e-9)


def test_conformal_coverage_by_simulation():
    rng, trials, normals, level = np.random.default_rng(0), 4000, 29, 0.1
    scores = np.exp(rng.normal(size=(trials, normals + 1))).astype(np.float32)
    alarms = 0
    for *known, new in scores.tolist():
        ordered = NormalScores(normals, tuple(range(normals)), tuple(sorted(known)))
        found = Calibration(ordered, ordered, (1,), (0.0,))
        alarms += new >= found.conformal_threshold(level)
    deviation = math.sqrt(level * (1 - level) / trials)
    assert abs(alarms / trials - level) < 4 * deviation


@quickly
@given(some_scores, st.lists(numbers, min_size=1), levels)
def test_p_values_and_conformal_thresholds_give_one_verdict(normals, scores, level):
    found, scores = calibrated_on(normals), np.array(scores)
    if found.smallest_level > level:
        assert (found.p_values(scores) > level).all()
    else:
        reached = scores >= found.conformal_threshold(level)
        np.testing.assert_array_equal(found.p_values(scores) <= level + 1e-12, reached)


@quickly
@given(some_scores, st.floats(0, 0.999))
def test_a_rate_is_kept_and_no_lower_threshold_would_keep_it(normals, rate):
    scores = calibrated_on(normals).images
    threshold = scores.threshold_at_rate(rate)
    reached = (np.array(normals) >= threshold).mean()
    assert reached <= rate
    assert scores.rate_at(threshold) == pytest.approx(reached)
    lower = np.nextafter(np.float32(threshold), np.float32(-1e9))
    assert (np.array(normals) >= lower).mean() > rate


@quickly
@given(some_scores, st.floats(0, 1))
def test_quantile_of_all_scores_is_numpys(normals, share):
    found = calibrated_on(normals).images.quantile(share)
    assert found == pytest.approx(np.quantile(normals, share), abs=1e-5)


def test_pixels_that_stand_for_all_are_dense_at_the_top():
    maps = blurred_maps(images=20, size=40)
    pixels = calibration.from_normal_maps(maps).pixels
    assert pixels.count == maps.size
    assert len(pixels.ranks) < 300
    for rate in (0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 0.0):
        reached = (maps >= pixels.threshold_at_rate(rate)).mean()
        # 50 kept ranks a decade are 4.7 % apart, where ranks are not all kept.
        assert 0.95 * (rate - 1 / maps.size) <= reached <= rate
        assert pixels.rate_at(pixels.threshold_at_rate(rate)) <= rate + 1e-12
    for share in (0.0, 0.01, 0.5, 0.9, 0.999, 1.0):
        rank_error = np.mean(maps <= np.float32(pixels.quantile(share))) - share
        assert abs(rank_error) < 0.006


def test_area_thresholds_are_those_of_the_maps():
    maps = blurred_maps()
    found = calibration.from_normal_maps(maps)
    assert found.areas[:6] == (1, 2, 4, 5, 8, 11)
    for area, threshold in zip(found.areas, found.area_thresholds, strict=True):
        assert threshold == metrics.estimated_threshold(maps, minimum_area=area)
        assert found.area_threshold(area) == threshold
    assert list(found.area_thresholds) == sorted(found.area_thresholds, reverse=True)
    # Between kept areas the smaller one decides, so that the promise holds.
    assert found.area_threshold(7) == found.area_threshold(5)
    assert found.area_threshold(10**9) == found.area_thresholds[-1]


@quickly
@given(some_scores, st.lists(numbers, min_size=2, unique=True))
def test_calibrated_scores_rank_as_the_raw_ones_and_stay_inside(normals, scores):
    scores = np.sort(np.array(scores))
    found = calibrated_on(normals).images.calibrated(scores)
    assert (found > 0).all()
    assert (found < 1).all()
    assert (np.diff(found) > 0).all()


def test_calibrated_scores_by_hand():
    scores = calibrated_on([0.0, 2.0, 2.0, 4.0]).images
    raw = np.array([-4.0, 0.0, 1.0, 2.0, 3.0, 4.0, 8.0, 1e9])
    expected = [0.1, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 1.0]
    np.testing.assert_allclose(scores.calibrated(raw), expected, atol=1e-8)


@quickly
@given(some_scores, st.sampled_from([0.25, 4.0, 64.0]))
def test_calibrated_scores_do_not_depend_on_the_unit(normals, unit):
    scores = np.linspace(-150, 150, 31)
    one = calibrated_on(normals).images.calibrated(scores)
    other = calibrated_on(unit * np.array(normals)).images.calibrated(unit * scores)
    if len(set(normals)) > 1 or normals[0]:  # else there is no unit to take
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_calibrated_maps_of_normal_pixels_are_even():
    maps = blurred_maps(images=12, size=40)
    found = calibration.from_normal_maps(maps).pixels.calibrated(maps)
    assert found.shape == maps.shape
    np.testing.assert_allclose(
        np.quantile(found, np.linspace(0, 1, 11)), np.linspace(0, 1, 11), atol=2e-3
    )


def test_json_keeps_a_calibration_exactly():
    found = calibration.from_normal_maps(blurred_maps() / 3)
    text = json.dumps(found.as_dict(), allow_nan=False)
    again = Calibration.from_dict(json.loads(text))
    assert again == found
    assert dataclasses.asdict(again) == dataclasses.asdict(found)
    assert len(text) < 20_000


@quickly
@given(some_scores)
def test_order_of_the_normal_images_does_not_matter(normals):
    assert calibrated_on(normals) == calibrated_on(normals[::-1])


def test_held_out_rate_counts_the_threshold_itself():
    scores = np.array([0.5, 1.0, 2.0, 3.0])
    assert calibration.held_out_rate(scores, 1.0) == 0.75
    assert calibration.held_out_rate(scores, 3.5) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.images.quantile(99.0), r"quantile: .* got 99"),
        (lambda c: c.images.threshold_at_rate(1.0), r"threshold_at_rate: .* got 1\.0"),
        (lambda c: c.conformal_threshold(0.0), r"conformal_threshold: .* got 0\.0"),
        (lambda c: c.conformal_threshold(math.nan), "got nan"),
        (lambda c: c.conformal_threshold(1e-12), r"at least \d{12,13} held-out"),
        (lambda c: c.area_threshold(0), "area_threshold: .* got 0"),
        (lambda c: c.p_values(np.array([math.nan])), "p_values: .* NaN"),
        (lambda c: c.pixels.calibrated(np.array([math.nan])), "calibrated: .* NaN"),
        (
            lambda c: calibration.held_out_rate(np.zeros(0), 1.0),
            "held_out_rate: .*none",
        ),
        (lambda c: calibration.from_normal_maps(np.zeros((0, 4, 4))), "got none"),
        (
            lambda c: calibration.from_normal_maps(np.array([[[0.0]], [[np.inf]]])),
            "map 1 has NaN or infinite",
        ),
    ],
)
def test_mistakes_are_one_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(calibrated_on([1.0, 2.0]))
    assert "\n" not in str(caught.value)
