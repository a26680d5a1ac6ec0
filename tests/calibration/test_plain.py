"""A calibration that is not one is refused, whoever made it: NaN is above nothing."""

import dataclasses
import json
import math

import numpy as np
import pytest

from vae_jax.calibration import (
    Calibration,
    NormalScores,
    from_normal_maps,
    held_out_rate,
)


@pytest.fixture(scope="module")
def known():
    maps = np.random.default_rng(0).normal(size=(5, 8, 8)).astype(np.float32)
    return from_normal_maps(maps)


def test_a_calibration_comes_back_through_json(known):
    assert Calibration.from_dict(json.loads(json.dumps(known.as_dict()))) == known
    assert Calibration.from_dict(known.as_dict()) == known


@pytest.mark.parametrize(
    ("count", "ranks", "values", "message"),
    [
        (3, (0, 1, 2), (1.0, math.nan, 2.0), "values: finite .* got nan"),
        (3, (0, 1, 2), (1.0, 2.0, math.inf), "values: finite .* got inf"),
        (3, (0, 1, 2), (1.0, 2.0, 1e39), r"values: finite .* got 1e\+39"),
        (3, (0, 1, 2), (1.0, 3.0, 2.0), r"must be in order, got 3\.0 before 2\.0"),
        (3, (0, 2, 2), (1.0, 2.0, 3.0), "must be in order, got 2 before 2"),
        (3, (0, 2), (1.0, 2.0, 3.0), "got 3 values for 2 ranks"),
        (4, (0, 1, 2), (1.0, 2.0, 3.0), "and count 4"),
        (3, (1, 2), (1.0, 2.0), "from 1 to 2, and count 3"),
        (0, (), (), "at least one number"),
        (10**20, (0, 10**20 - 1), (1.0, 2.0), "numbers up to"),
    ],
)
def test_scores_that_are_none(count, ranks, values, message):
    with pytest.raises(ValueError, match=message) as caught:
        NormalScores(count, ranks, values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("areas", "thresholds", "message"),
    [
        ((1, 2), (2.0, math.nan), "finite numbers"),
        ((1, 2), (1.0, 2.0), "thresholds must be in order"),
        ((2, 3), (2.0, 1.0), "begin with 1"),
        ((1, 2), (2.0,), "2 from 1 on, and 1 thresholds"),
        ((1, 1), (2.0, 1.0), "areas must be in order"),
        ((), (), "at least one number"),
    ],
)
def test_areas_that_are_none(known, areas, thresholds, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(known, areas=areas, area_thresholds=thresholds)


def test_of_images_all_scores_are_needed(known):
    some = NormalScores(9, (0, 8), (1.0, 2.0))
    with pytest.raises(ValueError, match=r"all scores of images .* got 2 of 9"):
        dataclasses.replace(known, images=some)


@pytest.mark.parametrize("junk", [None, True, 1, 1.5, "x", [], {}, [True], [None]])
def test_plain_values_of_another_type(known, junk):
    for name in known.as_dict():
        with pytest.raises(ValueError, match=r"^(Calibration|NormalScores)"):
            Calibration.from_dict(known.as_dict() | {name: junk})
    for name in known.as_dict()["images"]:
        if (name, junk) != ("count", 1):
            images = known.as_dict()["images"] | {name: junk}
            with pytest.raises(ValueError, match=r"^(Calibration|NormalScores)"):
                Calibration.from_dict(known.as_dict() | {"images": images})
    with pytest.raises(ValueError, match="an object with 'images' is needed"):
        Calibration.from_dict({})


def test_a_threshold_that_is_no_number_has_no_rate(known):
    with pytest.raises(ValueError, match=r"count_at: .* got NaN"):
        known.images.rate_at(math.nan)
    with pytest.raises(ValueError, match=r"held_out_rate: .* got NaN"):
        held_out_rate(np.ones(3), math.nan)
