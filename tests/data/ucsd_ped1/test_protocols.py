import functools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vae_jax import metrics
from vae_jax.data import ucsd_ped1
from vae_jax.data.ucsd_ped1 import protocols


@pytest.fixture
def load(root, tmp_path):
    return functools.partial(
        ucsd_ped1.load_ped1, root, prepared_dir=tmp_path / "prepared", size=33, seed=0
    )


def test_only_frames_of_masked_clips_are_scored_by_pixels(load):
    """A clip without masks is unknown, not normal, whatever its frames hold."""
    test = load(protocol="ped1_10").test
    assert {path.split("/")[1] for path in test.paths} == {"Test001", "Test003"}
    assert len(test.images) == 12
    assert test.has_masks
    shown = test.masks.any((1, 2))
    np.testing.assert_array_equal(test.is_anomalous, shown)
    assert set(test.defects) == {"good", "Test001", "Test003"}
    for mask, native in zip(test.masks, test.native_masks, strict=True):
        assert native.shape == (40, 44)
        assert mask.any() == native.any()


def test_by_whole_frames_every_clip_is_scored_by_the_label_file(load):
    test = load(protocol="ped1_frame").test
    assert not test.has_masks
    assert len(test.native_masks) == 0
    labels = test.is_anomalous.reshape(4, 6)
    found = [(np.flatnonzero(clip) + 1).tolist() for clip in labels]
    assert found == [[2, 3], [], [1, 2, 5, 6], [4]]
    assert len(test.images) == len(test.masks) == 24


def test_the_frames_are_the_same_under_either_protocol(load):
    by_pixels, by_frames = (load(protocol=p) for p in ("ped1_10", "ped1_frame"))
    np.testing.assert_array_equal(by_pixels.train, by_frames.train)
    np.testing.assert_array_equal(by_pixels.test.images[:6], by_frames.test.images[:6])
    np.testing.assert_array_equal(
        by_pixels.test.images[6:], by_frames.test.images[12:18]
    )
    # So that a network trained under one is evaluated under the other.
    assert by_pixels.sha256 == by_frames.sha256


def test_another_annotation_scores_all_clips(load, tmp_path, write_masks):
    for number in range(1, 5):
        write_masks(tmp_path / "masks" / f"Test{number:03}_gt", [number])
    full = load(protocol="ped1_full", masks_dir=tmp_path / "masks")
    assert len(full.test.images) == 24
    assert full.test.is_anomalous.sum() == 4
    assert full.sha256 != load(protocol="ped1_10").sha256


@pytest.mark.parametrize(
    ("protocol", "masks_dir"), [("ped1_full", None), ("ped1_10", "masks")]
)
def test_another_annotation_and_its_protocol_belong_together(load, protocol, masks_dir):
    with pytest.raises(ValueError, match=r"ped1_full and masks_dir .* belong together"):
        load(protocol=protocol, masks_dir=masks_dir)


def test_without_a_masked_clip_there_are_no_pixels_to_score(load, root):
    for folder in list((root / "Test").glob("*_gt")):
        for mask in folder.iterdir():
            mask.unlink()
        folder.rmdir()
    with pytest.raises(ValueError, match="wants masked clips, got none"):
        load(protocol="ped1_10")
    assert len(load(protocol="ped1_frame").test.images) == 24


def test_every_pixel_of_every_frame_is_one_score_and_no_more(load):
    """Arrays too long, filled with zeros in scores and truth, would flatter: three
    quarters of such padding turn an AUROC of a into 0.75 + 0.25 a."""
    test = load(protocol="ped1_10").test
    maps = np.random.default_rng(0).random(test.masks.shape, np.float32)
    maps += 0.2 * test.masks
    pooled = metrics.pixels.pool(list(maps), list(test.masks))
    assert pooled.normal.size + pooled.defect.size == 12 * 33 * 33
    auroc = metrics.pixel_auroc(maps, test.masks)
    assert auroc == pytest.approx(roc_auc_score(test.masks.ravel(), maps.ravel()))
    padding = np.zeros((36, 33, 33))
    flattered = roc_auc_score(
        np.concatenate([test.masks, padding]).ravel(),
        np.concatenate([maps, padding]).ravel(),
    )
    assert flattered > auroc + 0.1
    with pytest.raises(ValueError, match="48 maps and 12 masks"):
        metrics.pixel_auroc(np.concatenate([maps, padding]), test.masks)


def test_whole_clips_are_held_out():
    clips = [f"Train{clip:03}" for clip in range(1, 21) for _ in range(5)]
    train, validation = protocols.split_clips(clips, share=0.1, seed=0)
    named = np.asarray(clips)
    assert not set(named[train]) & set(named[validation])
    assert len(validation) == 10
    np.testing.assert_array_equal(np.sort([*train, *validation]), np.arange(100))
    # The first few stand for all clips, not for the first clip.
    assert len(set(named[train[:20]])) > 8
    again, other = (
        protocols.split_clips(clips, share=0.1, seed=seed) for seed in (0, 1)
    )
    np.testing.assert_array_equal(train, again[0])
    assert set(named[validation]) != set(named[other[1]])


def test_another_size_is_split_alike(load):
    data = load(protocol="ped1_10", category="mine")
    larger = data.at_size(40)
    assert larger.category == "mine"
    assert larger.train.shape == (8, 40, 40, 1)
    assert larger.validation.shape == (4, 40, 40, 1)
    assert larger.test.paths == data.test.paths
    # Each training frame is flat but for a border: their order can be told.
    np.testing.assert_array_equal(
        larger.train[:, 20, 20, 0], np.asarray(data.train)[:, 16, 16, 0]
    )


def test_progress_counts_every_frame(load):
    load(protocol="ped1_10")
    seen = []
    load(protocol="ped1_10", progress=lambda *args: seen.append(args))
    assert seen == [(done, 24) for done in range(1, 25)]
