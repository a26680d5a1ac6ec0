import hashlib
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from vae_jax.data import images, masks, ucsd_ped1
from vae_jax.data.prepared import open_split
from vae_jax.data.ucsd_ped1 import builder as module


@pytest.fixture
def prepared_dir(tmp_path):
    return tmp_path / "prepared"


def decoded(records, index):
    record = records[index]
    return images.decode(record["image"], channels=1, name="frame")[..., 0]


def test_records_are_the_frames_with_the_mask_of_their_number(root, prepared_dir):
    builder = ucsd_ped1.prepare(root, prepared_dir)
    assert len(open_split(builder, "train")) == 12
    records = open_split(builder, "test")
    assert len(records) == 24
    for index in range(24):
        clip, frame = index // 6 + 1, index % 6 + 1
        record = records[index]
        assert record["path"] == f"Test/Test{clip:03}/{frame:03}.tif"
        with Image.open(root / record["path"]) as published:
            np.testing.assert_array_equal(decoded(records, index), published)
        assert record["has_mask"] == (clip in (1, 3))
        rows = masks.decode_mask(record["mask"], name="mask").any(1).sum()
        marked = {1: (2, 3), 3: (1, 2, 5, 6)}.get(clip, ())
        assert rows == (frame if frame in marked else 0)
        anomalous = frame in {**{4: (4,)}, 1: (2, 3), 3: (1, 2, 5, 6)}.get(clip, ())
        assert record["defect"] == (f"Test{clip:03}" if anomalous else "good")


def test_a_plain_tfds_user_gets_arrays(root, tmp_path):
    builder = ucsd_ped1.UCSDPed1(data_dir=tmp_path / "tfds", file_format="array_record")
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=root.parent)
    )
    example = builder.as_data_source(split="test")[1]
    assert example["image"].shape == example["mask"].shape == (40, 44, 1)
    assert example["path"] == b"Test/Test001/002.tif"


def test_a_broken_frame_is_replaced_by_its_neighbour_and_named(root, prepared_dir):
    broken = root / "Test" / "Test002" / "004.tif"
    broken.write_bytes(broken.read_bytes()[:200])
    first = root / "Train" / "Train003" / "001.tif"
    first.write_bytes(b"")
    builder = ucsd_ped1.prepare(root, prepared_dir)
    expected = {
        "Test/Test002/004.tif": "Test/Test002/003.tif",
        "Train/Train003/001.tif": "Train/Train003/002.tif",
    }
    assert builder.manifest["substituted"] == expected
    assert ucsd_ped1.prepare(root, prepared_dir).manifest["substituted"] == expected
    records = open_split(builder, "test")
    assert records[9]["path"] == "Test/Test002/004.tif"
    np.testing.assert_array_equal(decoded(records, 9), decoded(records, 8))
    # A frame keeps the label of its own number.
    assert [records[i]["defect"] for i in range(18, 24)].count("Test004") == 1


def test_more_than_two_broken_frames_are_no_accident(root, prepared_dir):
    for number in (2, 3, 5):
        (root / "Test" / "Test002" / f"{number:03}.tif").write_bytes(b"version https")
    with pytest.raises(
        ValueError, match=r"3 of 6 frames of Test002 .*Test002/002\.tif"
    ) as error:
        ucsd_ped1.prepare(root, prepared_dir)
    assert "\n" not in str(error.value)
    assert list(prepared_dir.iterdir()) == []


def test_a_pipe_is_not_waited_for_and_all_that_are_none_are_told(root, prepared_dir):
    for name in ("Train/Train001/002.tif", "Test/Test001_gt/005.bmp"):
        (root / name).unlink()
        os.mkfifo(root / name)
    with pytest.raises(
        ValueError,
        match=r"2 of 49 cannot be used: Train/Train001/002\.tif is no file; "
        r"Test/Test001_gt/005\.bmp is no file\. Repair",
    ):
        ucsd_ped1.prepare(root, prepared_dir)


def test_a_mask_of_another_size_is_refused(root, prepared_dir):
    mask = Image.new("L", (44, 41))
    mask.save(root / "Test" / "Test001_gt" / "005.bmp")
    with pytest.raises(ValueError, match=r"005\.bmp is 41x44 pixels, its frame 40x44"):
        ucsd_ped1.prepare(root, prepared_dir)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2:4", "", "1:2, 5:6", "4"], "Test001 .* 1 frames: frame 4 has no anomalous"),
        (["2:3", "", "1:2, 6", "4"], "Test003 .* 1 frames: frame 5 has anomalous"),
    ],
)
def test_masks_and_labels_must_say_the_same(root, prepared_dir, rows, message):
    lines = [f"TestVideoFile{{end+1}}.gt_frame = [{row}];" for row in rows]
    (root / "Test" / "UCSDped1.m").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message) as error:
        ucsd_ped1.prepare(root, prepared_dir)
    assert "\n" not in str(error.value)


def test_another_annotation_labels_by_its_own_masks(root, tmp_path, write_masks):
    """It is another truth: the label file does not bind it."""
    for number in range(1, 5):
        write_masks(tmp_path / "masks" / f"Test{number:03}_gt", [number])
    builder = ucsd_ped1.prepare(
        root, tmp_path / "prepared", masks_dir=tmp_path / "masks"
    )
    records = open_split(builder, "test")
    anomalous = [i for i in range(24) if records[i]["defect"] != "good"]
    assert anomalous == [0, 7, 14, 21]
    assert all(records[i]["has_mask"] for i in range(24))


def test_the_manifest_hashes_every_file(root, prepared_dir):
    manifest = ucsd_ped1.prepare(root, prepared_dir).manifest
    assert len(manifest["files"]) == 12 + 24 + 12 + 1
    for name, digest in manifest["files"].items():
        assert digest == hashlib.sha256((root / name).read_bytes()).hexdigest()
    assert manifest["substituted"] == {}


def test_it_is_prepared_once_and_anew_after_a_change(root, prepared_dir, monkeypatch):
    first = ucsd_ped1.prepare(root, prepared_dir).manifest["sha256"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "read_frames", None)  # nothing is read again
        assert ucsd_ped1.prepare(root, prepared_dir).manifest["sha256"] == first
    frame = root / "Train" / "Train001" / "001.tif"
    Image.new("L", (44, 40)).save(frame)
    assert ucsd_ped1.prepare(root, prepared_dir).manifest["sha256"] != first


def test_progress_is_that_of_the_frames_of_each_split(root, prepared_dir):
    seen = []
    ucsd_ped1.prepare(root, prepared_dir, progress=lambda *args: seen.append(args))
    assert seen == [(4, 12), (8, 12), (12, 12), (6, 24), (12, 24), (18, 24), (24, 24)]


def test_preparing_says_nothing(root, prepared_dir, capfd):
    ucsd_ped1.prepare(root, prepared_dir)
    assert capfd.readouterr() == ("", "")


def test_an_unwritable_prepared_dir_is_one_line(root, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="prepare: cannot write ped1 below") as error:
        ucsd_ped1.prepare(root, tmp_path / "file" / "prepared")
    assert "\n" not in str(error.value)
