import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from vae_jax.data import concurrency, masks, mvtec_ad


@pytest.fixture
def prepared_dir(tmp_path):
    return tmp_path / "prepared"


def test_files_are_stored_byte_for_byte_with_their_own_mask(data_dir, prepared_dir):
    builder = mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    records = mvtec_ad.open_split(builder, "test")
    assert len(records) == 6
    for index in range(len(records)):
        record = records[index]
        file = data_dir / "screw" / record["path"]
        assert record["image"] == file.read_bytes()
        assert record["defect"] == file.parent.name
        assert record["has_mask"] == (record["defect"] != "good")
        mask = masks.decode_mask(record["mask"], name="mask")
        expected = np.zeros((40, 40), np.bool_)
        if record["has_mask"]:
            expected[:5, : int(file.stem) + 1] = True
        np.testing.assert_array_equal(mask, expected)


def test_the_order_is_that_of_the_listing(data_dir, prepared_dir):
    builder = mvtec_ad.prepare(data_dir, "leather", prepared_dir)
    train = mvtec_ad.open_split(builder, "train")
    assert [train[i]["path"] for i in range(6)] == [
        f"train/good/00{i}.png" for i in range(6)
    ]


def test_channels_are_as_published_or_as_found(data_dir, prepared_dir, write_png):
    (data_dir / "leather").rename(data_dir / "my_parts")
    assert mvtec_ad.prepare(data_dir, "screw", prepared_dir).config.channels == 1
    own = mvtec_ad.prepare(data_dir, "my_parts", prepared_dir)
    assert own.config.channels == 3
    assert own.name == "mvtec_ad"


def test_a_plain_tfds_user_gets_arrays(data_dir, tmp_path):
    builder = mvtec_ad.MVTecAD(
        config="screw", data_dir=tmp_path / "tfds", file_format="array_record"
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=data_dir)
    )
    example = builder.as_data_source(split="test")[0]
    assert example["image"].shape == example["mask"].shape == (40, 40, 1)
    assert example["path"] == b"test/bent/000.png"


def test_the_manifest_hashes_every_file(data_dir, prepared_dir):
    manifest = mvtec_ad.prepare(data_dir, "screw", prepared_dir).manifest
    assert len(manifest["files"]) == 6 + 6 + 4
    for path, digest in manifest["files"].items():
        content = (data_dir / "screw" / path).read_bytes()
        assert digest == hashlib.sha256(content).hexdigest()
    assert (manifest["unmasked_images"], manifest["skipped_masks"]) == (0, 0)
    reopened = mvtec_ad.prepare(data_dir, "screw", prepared_dir).manifest
    assert reopened == manifest


def test_the_content_hash_ignores_times_but_not_content(
    data_dir, prepared_dir, write_png
):
    def content_hash() -> str:
        return mvtec_ad.prepare(data_dir, "screw", prepared_dir).manifest["sha256"]

    first = content_hash()
    changed = data_dir / "screw/train/good/000.png"
    os.utime(changed, (1, 1))
    assert content_hash() == first
    write_png(changed, 200)
    assert content_hash() != first


def test_it_is_prepared_once_and_anew_after_a_change(data_dir, prepared_dir, write_png):
    mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    before = {path: path.stat().st_mtime_ns for path in prepared_dir.rglob("*")}
    mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    after = {path: path.stat().st_mtime_ns for path in prepared_dir.rglob("*")}
    assert before == after
    write_png(data_dir / "screw/train/good/006.png")
    builder = mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    assert len(mvtec_ad.open_split(builder, "train")) == 7


def test_the_shortest_side_is_that_of_any_image(data_dir, prepared_dir, write_png):
    write_png(data_dir / "screw/test/good/000.png", side=33)
    write_png(data_dir / "screw/train/good/003.png", side=50)
    manifest = mvtec_ad.prepare(data_dir, "screw", prepared_dir).manifest
    assert manifest["shortest_side"] == 33
    assert mvtec_ad.prepare(data_dir, "screw", prepared_dir).manifest == manifest


def test_defects_without_a_mask_are_counted(data_dir, prepared_dir):
    (data_dir / "screw/ground_truth/cut/003_mask.png").unlink()
    with pytest.raises(ValueError, match="without a mask"):
        mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    builder = mvtec_ad.prepare(data_dir, "screw", prepared_dir, missing_masks="skip")
    assert builder.manifest["unmasked_images"] == 1
    assert builder.config.channels == 1
    test = mvtec_ad.open_split(builder, "test")
    unmasked = [test[i]["path"] for i in range(6) if not test[i]["has_mask"]]
    assert unmasked == ["test/cut/003.png", "test/good/000.png", "test/good/001.png"]


def test_a_truncated_image_is_named_and_leaves_nothing(data_dir, prepared_dir):
    file = data_dir / "screw/train/good/004.png"
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=r"train/good/004\.png is truncated"):
        mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    assert list(prepared_dir.iterdir()) == []
    file.write_bytes(whole)
    builder = mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    assert len(mvtec_ad.open_split(builder, "train")) == 6


@pytest.fixture
def in_time():
    """A file that is waited for ends the test and not the run of all."""

    def end(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
def test_all_that_cannot_be_used_is_named_in_one_line(data_dir, tmp_path, write_png):
    screw = data_dir / "screw"
    os.mkfifo(screw / "train/good/pipe.png")
    (screw / "train/good/zero.png").symlink_to("/dev/zero")
    (screw / "train/good/gone.png").symlink_to(tmp_path / "nowhere")
    (screw / "train/good/loop.png").symlink_to(screw / "train/good/loop.png")
    (screw / "test/good/empty.png").touch()
    (screw / "test/cut/003.png").write_bytes(b"no image")
    write_png(screw / "ground_truth/cut/011_mask.png", 0)
    write_png(screw / "test/good/\udcff.png")
    with pytest.raises(ValueError, match=r"^prepare: 8 of 18 cannot be used") as error:
        mvtec_ad.prepare(data_dir, "screw", tmp_path / "prepared")
    message = str(error.value)
    for told in (
        *("pipe.png is no file", "zero.png is no file", "gone.png cannot be read (No"),
        *("loop.png cannot be read (Too many", "empty.png is truncated or no image"),
        *("003.png is truncated or no", "011.png has a defect, but its mask is black"),
        "test/good/\\udcff.png is not UTF-8",
    ):
        assert told in message
    assert "\n" not in message
    assert message.encode()
    assert list((tmp_path / "prepared").iterdir()) == []


def test_folders_that_only_look_alike_do_not_share_what_was_prepared(
    tmp_path, write_png
):
    """Uncompressed files of equal names, sizes and times."""
    for folder, value in (("first", 10), ("second", 200)):
        for index in range(3):
            file = write_png(tmp_path / folder / "parts" / f"{index}.bmp", value)
            Image.open(file).save(file, "bmp")
            os.utime(file, (1, 1))
    seen = []
    for folder in ("first", "second"):
        root = tmp_path / folder / "parts"
        builder = mvtec_ad.prepare(root, "parts", tmp_path / "prepared")
        image = mvtec_ad.open_split(builder, "train")[0]["image"]
        assert image == (root / "0.bmp").read_bytes()
        seen.append(builder.manifest["sha256"])
    assert len(set(seen)) == 2


def test_colour_and_size_are_not_those_of_the_first_image(tmp_path, write_png):
    root = tmp_path / "parts"
    write_png(root / "0.png", side=64)
    for index in range(1, 6):
        write_png(root / f"{index}.png", mode="RGB", side=50)
    builder = mvtec_ad.prepare(root, "parts", tmp_path / "prepared")
    assert builder.config.channels == 3
    assert builder.manifest["native_size"] == [50, 50]
    assert builder.manifest["gray_images"] == 1


def test_a_mask_of_another_size_is_refused(data_dir, prepared_dir, write_png):
    write_png(data_dir / "screw/ground_truth/cut/003_mask.png", 1, side=41)
    with pytest.raises(ValueError, match=r"003_mask\.png is 41x41 .*003\.png is 40x40"):
        mvtec_ad.prepare(data_dir, "screw", prepared_dir)


def test_an_unwritable_prepared_dir_is_one_line(data_dir, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="prepare: cannot write screw below") as error:
        mvtec_ad.prepare(data_dir, "screw", tmp_path / "file" / "prepared")
    assert "\n" not in str(error.value)


def test_leftovers_of_a_kill_are_never_read_and_cleared_in_time(data_dir, prepared_dir):
    fresh = prepared_dir / ".screw-unfinished-fresh"
    stale = prepared_dir / ".screw-unfinished-stale"
    for folder in (fresh, stale):
        (folder / "data" / "mvtec_ad" / "screw").mkdir(parents=True)
    long_ago = time.time() - 2 * concurrency.STALE_AFTER_SECONDS
    for folder in (stale, *stale.rglob("*")):
        os.utime(folder, (long_ago, long_ago))
    builder = mvtec_ad.prepare(data_dir, "screw", prepared_dir)
    assert len(mvtec_ad.open_split(builder, "train")) == 6
    assert fresh.exists()  # perhaps another process at work
    assert not stale.exists()


def test_preparing_says_nothing(data_dir, prepared_dir, capfd):
    mvtec_ad.prepare(data_dir, "screw", prepared_dir, missing_masks="skip")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_reading_needs_neither_jax_nor_tensorflow():
    code = (
        "import sys; from vae_jax.data import category, defects, mvtec_ad, synthetic;"
        "assert not {'jax', 'tensorflow', 'flax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_of_normals_named_as_a_category_is_not_taken_for_it(
    tmp_path, write_png
):
    for index in range(3):
        write_png(tmp_path / "screw" / f"{index}.png", mode="RGB")
    builder = mvtec_ad.prepare(tmp_path / "screw", "screw", tmp_path / "prepared")
    assert builder.config.channels == 3
    assert builder.config.category == "screw"
    assert len(mvtec_ad.open_split(builder, "train")) == 3
    assert len(mvtec_ad.open_split(builder, "test")) == 0
    assert list(builder.manifest["files"]) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("name", "mode", "side", "is_published"),
    [
        ("screw", "L", 1024, True),
        ("screw", "L", 900, False),
        ("screw", "RGB", 1024, False),
        ("bottle", "RGB", 900, True),
        ("my_parts", "RGB", 1024, False),
    ],
)
def test_a_category_is_published_by_layout_size_and_colour_and_not_by_its_name(
    tmp_path, write_png, name, mode, side, is_published
):
    for index in range(2):
        write_png(tmp_path / name / f"train/good/{index}.png", mode=mode, side=side)
    builder = mvtec_ad.prepare(tmp_path, name, tmp_path / "prepared")
    assert builder.manifest["is_published"] == is_published
    assert builder.config.channels == {"L": 1, "RGB": 3}[mode]
    alone = mvtec_ad.prepare(tmp_path / name / "train/good", "good", tmp_path / "own")
    assert not alone.manifest["is_published"]


def test_a_truncated_jpeg_is_found_when_it_is_prepared(tmp_path):
    folder = tmp_path / "my_parts"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for name in "ab":
        Image.fromarray(noise).save(folder / f"{name}.jpg")
    whole = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"b\.jpg is truncated"):
        mvtec_ad.prepare(folder, "my_parts", tmp_path / "prepared")
