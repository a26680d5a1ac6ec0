import dataclasses
import types

import numpy as np
import pytest

from experiments.localisation import score, tables
from vae_jax.data.category import TestImages
from vae_jax.data.images import resize_mask
from vae_jax.detection.methods import DEFAULT_METHOD


def images_of(masks, defects):
    """What the functions read of a test split."""
    is_anomalous = np.array([defect != "good" for defect in defects])
    return types.SimpleNamespace(
        masks=np.asarray(masks),
        defects=tuple(defects),
        is_anomalous=is_anomalous,
        has_masks=True,
        has_both_classes=True,
        is_masked=np.ones(len(defects), bool),
    )


def square(corner):
    mask = np.zeros((8, 8), bool)
    mask[corner : corner + 3, corner : corner + 3] = True
    return mask


EMPTY = np.zeros((8, 8), bool)


def test_typical_image_is_the_median_of_its_kind():
    masks = [square(1)] * 3 + [EMPTY] * 3
    maps = np.zeros((6, 8, 8), np.float32)
    maps[0] = masks[0]  # right
    maps[1] = square(2)  # half right
    maps[2] = ~masks[2]  # wrong
    maps[3:] = np.array([0.1, 0.9, 0.5])[:, None, None]
    test = images_of(masks, ["hole"] * 3 + ["good"] * 3)
    assert score.typical_images(test, maps) == {"hole": 1, "good": 5}


def test_a_defect_is_scored_against_good_images_and_not_other_defects():
    masks = [square(1), square(4), EMPTY]
    maps = np.zeros((3, 8, 8), np.float32)
    maps[0] = masks[0]
    maps[1] = ~masks[1]
    test = images_of(masks, ["hole", "stain", "good"])
    rows = score.score_defects(["m"], {"m": maps}, test)
    found = {row["defect"]: row["pixel_auroc"] for row in rows}
    assert found["hole"] == 1.0
    assert found["stain"] < 0.5


def test_defects_too_small_for_the_size_leave_the_figures_of_images():
    """A mask of 60 pixels with one that no pixel of 32 takes; at its own size it is."""
    native = np.zeros((3, 60, 60), bool)
    native[0, 0, 1] = True
    small = np.stack([resize_mask(mask, 32) for mask in native])
    assert not small.any()
    test = TestImages(
        np.zeros((3, 32, 32, 1), np.uint8), small, ("dot", "good", "good"),
        ("0", "1", "2"), list(native),
    )  # fmt: skip
    assert not test.can_score_pixels
    maps = np.zeros((3, 32, 32), np.float32)
    maps[0] = 1
    at_model, at_native = (
        score.score_methods(test, {"m": maps}, {"m": maps[1:]}, native=native)["m"]
        for native in (False, True)
    )
    assert at_model["image_auroc"] == at_native["image_auroc"] == 1.0
    assert at_model.keys() == at_native.keys()
    assert at_model["pixel_auroc"] is at_model["overlap"] is None
    assert at_native["pixel_auroc"] > 0.5
    assert score.score_defects(["m"], {"m": maps}, test) == []


@pytest.mark.parametrize("native", [True, False])
def test_a_defect_without_a_mask_counts_as_an_image_alone(native):
    masks = np.stack([square(1), EMPTY, EMPTY, EMPTY])
    images = np.zeros((4, 8, 8, 1), np.uint8)
    kinds, names = ("hole", "hole", "good", "good"), tuple("0123")
    test = TestImages(images, masks, kinds, names, list(masks))
    maps = np.zeros((4, 8, 8), np.float32)
    maps[0] = 0.4 * masks[0]
    silent = maps.copy()
    maps[1] = 0.5  # all over, and nobody knows where that is right

    def figures(test, maps):
        return score.score_methods(test, {"m": maps}, {"m": maps[3:]}, native=native)[
            "m"
        ]

    unmasked = dataclasses.replace(test, unmasked=frozenset({1}))
    found = figures(unmasked, maps)
    assert found["pixel_auroc"] == found["aupro"] == found["best_iou"] == 1.0
    assert figures(test, maps)["aupro"] < 1.0
    assert figures(unmasked, silent)["image_auroc"] == (1 + 1 + 0.5 + 0.5) / 4
    (row,) = score.score_defects(["m"], {"m": silent}, unmasked)
    assert (row["aupro"], row["image_auroc"]) == (1.0, 0.75)
    curve = score.curves_of(unmasked, {"m": maps})["m"].pro
    assert curve.rate[list(curve.false_positive_rate).index(0) + 1] == 1.0
    assert score.typical_images(unmasked, maps)["hole"] == 0
    none = dataclasses.replace(test, masks=masks & False, unmasked=frozenset({0, 1}))
    assert figures(none, silent)["image_auroc"] == 0.75
    assert figures(none, silent)["pixel_auroc"] is None


def test_thresholds_at_published_sizes_do_not_hang_on_the_first_image():
    sizes = [(80, 80), (32, 32), (32, 32), (32, 32)]
    native = [np.zeros(size, bool) for size in sizes]
    for mask in native[:2]:
        mask[: len(mask) // 4, : len(mask) // 4] = True
    small = np.stack([resize_mask(mask, 32) for mask in native])
    maps = np.random.default_rng(0).random((4, 32, 32)).astype(np.float32)

    def overlap(order):
        test = TestImages(
            np.zeros((4, 32, 32, 1), np.uint8)[order], small[order],
            tuple("good" if i > 1 else "a" for i in order), tuple("0123"),
            [native[i] for i in order],
        )  # fmt: skip
        of = {"m": maps[order]}
        return score.score_methods(test, of, {"m": maps[:1]}, native=True)["m"][
            "overlap"
        ]

    assert overlap([0, 1, 2, 3]) == pytest.approx(overlap([3, 2, 1, 0]), rel=1e-12)


def row(category, method, kind, aupro, iou):
    return {
        "category": category,
        "method": method,
        "kind": kind,
        "aupro": aupro,
        "best_iou": iou,
        "validation_aupro": aupro,
        "validation_iou": iou,
    }


def test_verdict_says_where_we_lose():
    ours = DEFAULT_METHOD
    text = tables.verdict(
        [
            row("screw", ours, "attention", 0.5, 0.3),
            row("screw", "weak", "floor", 0.4, 0.1),
            row("screw", "strong", "floor", 0.6, 0.2),
        ]
    )
    assert (
        "DOES NOT BEAT every floor on AUPRO@0.3: 0.500 against 0.600 (strong)" in text
    )
    assert "beats every floor on best IoU: 0.300 against 0.200 (strong)" in text
    assert f"validation prefers {ours}" in text
