import numpy as np
import pytest

from vae_jax.calibration import (
    from_normal_maps,
    image_threshold,
    pixel_threshold,
    promised_rate,
)


def calibrated(count, *, side=10):
    """On `count` maps, the highest value of the i-th being i + 1; no two are equal."""
    maps = np.linspace(0, 0.9, count * side**2).reshape(count, side, side)
    maps[:, 0, 0] = np.arange(1, count + 1)
    return from_normal_maps(maps.astype(np.float32))


def scores(count):
    return np.arange(1, count + 1)


@pytest.mark.parametrize(
    ("rule", "called"),
    [("conformal:0.1", 9), ("rate:0.25", 24), ("rate:0", 0), ("auto", 4), ("50", 50)],
)
def test_so_many_of_99_held_out_images_are_called_anomalous(rule, called):
    """Conformal counts the new image: floor(100 level) - 1 of the others reach it."""
    threshold = image_threshold(rule, calibrated(99))
    assert (scores(99) >= threshold).sum() == called


def test_a_quantile_is_that_of_numpy():
    threshold = image_threshold("quantile:0.9", calibrated(99))
    assert threshold == pytest.approx(np.quantile(scores(99), 0.9))


@pytest.mark.parametrize("count", range(1, 40))
def test_auto_promises_what_so_few_images_can(count):
    threshold = image_threshold("auto", calibrated(count))
    reached = (scores(count) >= threshold).sum()
    assert reached == max(0, int(0.05 * (count + 1)) - 1)


def test_a_promise_that_so_few_images_cannot_keep():
    with pytest.raises(ValueError, match="at least 19 held-out normal images, got 9"):
        image_threshold("conformal:0.05", calibrated(9))


def pixels(rule, calibration):
    return pixel_threshold(rule, calibration, image_size=10)


def test_pixels_by_rate_by_area_and_by_value():
    calibration = calibrated(20)
    all_pixels = 20 * 100
    assert pixels("0.7", calibration) == 0.7
    rate = calibration.pixels.rate_at(pixels("rate:0.01", calibration))
    assert 0 < rate * all_pixels <= 20
    # Only the 20 highest pixels stand alone: any two neighbours are below 0.9.
    assert 0.8 < pixels("area:2", calibration) <= 1
    assert pixels("quantile:1", calibration) == 20


@pytest.mark.parametrize(("image_size", "area"), [(10, 1), (100, 10)])
def test_auto_permits_no_region_of_a_thousandth_of_the_image(image_size, area):
    calibration = calibrated(3, side=100)
    auto = pixel_threshold("auto", calibration, image_size=image_size)
    assert auto == calibration.area_threshold(area)


@pytest.mark.parametrize("area", ["0", "-3", "2.5", "101", "1e9"])
def test_an_area_is_a_whole_number_of_pixels_of_the_image(area):
    assert pixels("area:100", calibrated(20)) < pixels("area:1", calibrated(20))
    with pytest.raises(ValueError, match=f"from 1 to the 100 .* 'area:{area}'") as e:
        pixels(f"area:{area}", calibrated(20))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("threshold", [image_threshold, pixels])
@pytest.mark.parametrize(
    "rule", ["", "rate", "rate:", "rate:x", "median:0.5", "auto:1", "nan", "inf"]
)
def test_no_such_rule(rule, threshold):
    with pytest.raises(ValueError, match=r"a rule is .*, got") as error:
        threshold(rule, calibrated(20))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rule", "rate"),
    [
        ("auto", 0.05),
        ("conformal:0.01", 0.01),
        ("rate:0", None),
        ("quantile:1", None),
        ("50", None),
        (50.0, None),
    ],
)
def test_only_conformal_rules_promise_something_of_new_images(rule, rate):
    assert promised_rate(rule, calibrated(99)) == rate


@pytest.mark.parametrize("count", [1, 3, 18, 19])
def test_what_so_few_promise_is_not_what_they_show(count):
    """No held-out image reaches the threshold, and yet 1 of count + 1 new ones may."""
    known = calibrated(count)
    assert known.images.count_at(image_threshold("auto", known)) == 0
    assert promised_rate("auto", known) == pytest.approx(1 / (count + 1))


def test_a_rule_that_does_not_exist_promises_nothing():
    with pytest.raises(ValueError, match="a rule is"):
        promised_rate("often", calibrated(3))
