import dataclasses

import numpy as np
import pytest

from vae_jax.anomaly import ColourLimits
from vae_jax.report import section
from vae_jax.report.encoding import quantise

NORMAL_MAPS = np.random.default_rng(1).gamma(2.0, 0.5, (5, 24, 32)).astype(np.float32)
CALIBRATED = {
    "method": "ours",
    "normal_maps": NORMAL_MAPS,
    "normal_scores": NORMAL_MAPS.max((1, 2)),
    "image_threshold": 5.5,
    "pixel_threshold": 3.25,
    "limits": ColourLimits(0.5, 6.0),
}


@pytest.fixture
def items(make_items):
    return make_items(good=6, scratch=9, hole=4)


def encoded(items, **changes) -> section.Section:
    return section.make_section("screw", items, **CALIBRATED | changes)


def test_scores_are_divided_by_what_the_images_are(items):
    figures = encoded(items).figures
    assert figures["normal"] == [i.score for i in items if i.kind == "good"]
    assert figures["defective"] == [i.score for i in items if i.kind != "good"]
    np.testing.assert_array_equal(figures["heldOut"], CALIBRATED["normal_scores"])


def test_sliders_begin_at_the_calibrated_thresholds(items):
    figures = encoded(items).figures
    assert figures["stops"][figures["imageStop"]] == 5.5
    assert figures["levels"][figures["pixelStop"] - 1] == 3.25


def test_infinite_thresholds_flag_nothing_at_first(items):
    never = encoded(items, image_threshold=np.inf, pixel_threshold=np.inf).figures
    assert never["stops"][never["imageStop"]] is None
    assert never["pixelStop"] == len(never["levels"]) + 1


def test_pixel_counts_equal_those_of_the_maps(items):
    figures = encoded(items).figures
    maps, masks = (
        np.stack([getattr(i, name) for i in items]) for name in ("map", "mask")
    )
    for name, values in {
        "heldOut": NORMAL_MAPS.ravel(),
        "normal": maps[~masks],
        "defect": maps[masks],
    }.items():
        counts = figures["pixels"][name]
        assert counts["total"] == values.size
        reached = [(values >= np.float32(level)).sum() for level in figures["levels"]]
        assert counts["reached"] == reached


def test_without_masks_only_held_out_pixels_are_counted(items):
    items[3] = dataclasses.replace(items[3], mask=None)
    assert encoded(items).figures["pixels"].keys() == {"heldOut"}


def test_held_out_images_are_shown_but_not_counted_as_test_images(make_items):
    found = encoded(make_items(good=5), are_held_out=True)
    assert found.figures["normal"] == found.figures["defective"] == []
    assert found.figures["pixels"].keys() == {"heldOut"}
    assert len(found.pictures) == 5


def test_a_category_without_any_image_keeps_its_thresholds():
    found = encoded([])
    assert found.pictures == ()
    assert found.figures["heldOut"]


def test_any_first_pictures_are_spread_over_kinds_and_scores(make_items):
    items = make_items(good=40, scratch=40, hole=3)
    first = [items[i] for i in section.spread(items)[:12]]
    counts = {kind: sum(i.kind == kind for i in first) for kind in ("good", "hole")}
    assert counts == {"good": 5, "hole": 3} or counts == {"good": 4, "hole": 3}
    for kind in ("good", "scratch"):
        scores = np.sort([i.score for i in items if i.kind == kind])
        ranks = np.searchsorted(scores, [i.score for i in first if i.kind == kind])
        # Four or five of forty, and no gap between them of twenty.
        assert np.diff(np.sort(np.append(ranks, [-1, 40]))).max() < 20
    assert sorted(section.spread(items)) == list(range(83))


def test_explained_images_come_first_and_latents_by_their_kl(items):
    maps = np.random.default_rng(0).random((20, 24, 32)).astype(np.float32)
    kl = np.random.default_rng(1).permutation(20.0 * np.arange(20)).astype(np.float32)
    items[7] = dataclasses.replace(items[7], latent_maps=maps, latent_kl=kl)
    first = encoded(items).pictures[0]
    assert first.name == items[7].name
    ranked = np.argsort(-kl)[: section.MOST_LATENTS]
    assert [latent.latent for latent in first.latents] == ranked.tolist()
    assert [latent.kl for latent in first.latents] == kl[ranked].tolist()


def test_at_most_so_many_pictures_are_encoded_and_all_are_counted(
    make_items, monkeypatch
):
    monkeypatch.setattr(section, "MOST_PICTURES", 4)
    found = encoded(make_items(good=5, hole=5))
    assert len(found.pictures) == 4
    assert found.images == 10
    assert len(found.figures["defective"]) == 5


def test_levels_reach_the_highest_pixel_of_any_map(items):
    levels = np.array(encoded(items).figures["levels"], np.float32)
    top = max(item.map.max() for item in items)
    assert quantise(np.array([top]), levels)[0] == len(levels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"map": np.full((24, 32), np.nan, np.float32)},
            "the map and the score of test",
        ),
        ({"score": float("nan")}, "the map and the score of test"),
        ({"mask": np.zeros((24, 31), bool)}, "the mask of test/good/000.png"),
    ],
)
def test_broken_items_are_refused_by_name(items, changes, message):
    items[0] = dataclasses.replace(items[0], **changes)
    with pytest.raises(ValueError, match=message):
        encoded(items)


@pytest.mark.parametrize("scores", [np.zeros(0, np.float32), np.array([np.nan])])
def test_nothing_to_count_is_refused(scores):
    with pytest.raises(ValueError, match="finite scores of items or held-out"):
        encoded([], normal_scores=scores)
