import types

import numpy as np

from experiments import evaluation, tables
from experiments.methods import DEFAULT_METHOD
from vae_jax.data import defects
from vae_jax.data.category import TestImages
from vae_jax.data.images import resize_mask


def images_of(masks, defects):
    """What the functions read of a test split."""
    is_anomalous = np.array([defect != "good" for defect in defects])
    return types.SimpleNamespace(
        masks=np.asarray(masks),
        defects=tuple(defects),
        is_anomalous=is_anomalous,
        has_masks=True,
        has_both_classes=True,
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
    assert evaluation.typical_images(test, maps) == {"hole": 1, "good": 5}


def test_a_defect_is_scored_against_good_images_and_not_other_defects():
    masks = [square(1), square(4), EMPTY]
    maps = np.zeros((3, 8, 8), np.float32)
    maps[0] = masks[0]
    maps[1] = ~masks[1]
    test = images_of(masks, ["hole", "stain", "good"])
    rows = evaluation.score_defects(["m"], {"m": maps}, test)
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
        evaluation.score_methods(test, {"m": maps}, {"m": maps[1:]}, native=native)["m"]
        for native in (False, True)
    )
    assert at_model["image_auroc"] == at_native["image_auroc"] == 1.0
    assert at_model.keys() == at_native.keys()
    assert at_model["pixel_auroc"] is at_model["overlap"] is None
    assert at_native["pixel_auroc"] > 0.5
    assert evaluation.score_defects(["m"], {"m": maps}, test) == []


def test_a_map_of_the_right_size_is_not_touched_and_a_flat_one_stays_flat():
    values = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    assert evaluation.resize_map(values, (4, 4)) is values
    flat = evaluation.resize_map(np.full((4, 4), 0.3, np.float32), (9, 7))
    np.testing.assert_allclose(flat, np.full((9, 7), 0.3), rtol=1e-6)


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


def test_artificial_defects_keep_the_normal_images_and_mask_what_they_change():
    normal = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.uint8)
    images, masks = evaluation.artificial_defects(normal, seed=0)
    np.testing.assert_array_equal(images[:2], normal)
    assert not masks[:2].any()
    assert masks[2:].any((1, 2)).all()
    copies = np.repeat(normal, len(defects.KINDS), axis=0)
    changed = (images[2:] != copies).any(-1)
    assert not changed[~masks[2:]].any()


def test_of_many_held_out_images_some_from_first_to_last_get_defects():
    normal = np.arange(100, 200, dtype=np.uint8)[:, None, None, None]
    images, _ = evaluation.artificial_defects(
        normal.repeat(32, 1).repeat(32, 2), seed=0
    )
    clean = images[: evaluation.PASTED_ON, 0, 0, 0].tolist()
    assert len(images) == evaluation.PASTED_ON * (1 + len(defects.KINDS))
    assert clean == sorted(set(clean))
    assert (clean[0], clean[-1]) == (100, 199)


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
