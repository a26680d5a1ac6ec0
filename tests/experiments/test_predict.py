import csv
import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.launch import runner
from experiments.predict import Config, main
from vae_jax.calibration import from_normal_maps
from vae_jax.export import save_detector
from vae_jax.inspection import Settings, findings, marking, recorder

SIZE = 32
RECURSIVE = Settings(recursive=True)


@pytest.fixture(scope="session")
def artifact(tmp_path_factory):
    """The map is brightness; of 39 held-out normal images the i-th has brightness i."""
    images = np.arange(39, dtype=np.uint8)[:, None, None, None] * np.ones(
        (SIZE, SIZE, 1), np.uint8
    )
    maps = images[..., 0] / np.float32(255)
    path = tmp_path_factory.mktemp("run") / "screw" / "detector.zip"
    save_detector(
        path,
        lambda weights, images: weights["gain"] * images[..., 0],
        {"gain": np.ones((), np.float32)},
        images=images,
        maps=maps,
        calibration=from_normal_maps(maps),
        about={"category": "screw", "data": {"native_size": [40, 50], "bits": 12}},
    )
    return path


@pytest.fixture
def parts(tmp_path):
    """Three dark images, one bright, in folders, and a text that is not asked for."""
    root = tmp_path / "parts"
    (root / "day 2").mkdir(parents=True)
    for name, value in {
        "a.png": 10,
        "b.jpg": 20,
        "day 2/a.png": 30,
        "z.tif": 200,
    }.items():
        Image.new("L", (50, 40), value).save(root / name)
    (root / "notes.txt").touch()
    return root


@pytest.fixture
def config(artifact, parts, tmp_path):
    return Config(
        str(artifact), (str(parts),), str(tmp_path / "found"), settings=RECURSIVE
    )


def rows(config):
    with open(f"{config.out}/results.csv", newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def summary(config):
    with open(f"{config.out}/results.json") as file:
        return json.load(file)


def picture(config, kind, name):
    return np.asarray(Image.open(f"{config.out}/{kind}/{name}.png"))


def changed(config, **changes):
    """The flags with some changed, whether of the command or of how it looks."""
    own = {name: changes.pop(name) for name in set(changes) & set(vars(config))}
    settings = dataclasses.replace(config.settings, **changes)
    return dataclasses.replace(config, **({"settings": settings} | own))


def test_every_image_has_a_row_and_three_pictures_of_its_size(config):
    assert main(config) == 0
    found = rows(config)
    assert list(found) == ["a.png", "b.jpg", "day 2/a.png", "z.tif"]
    for name in found:
        for kind in marking.PICTURES:
            assert picture(config, kind, name).shape[:2] == (40, 50)


def test_what_is_passed_over_is_counted_and_named(config, parts, capsys):
    """Not a word was said of defective parts of another name, or one folder deeper."""
    for name, kind in (("c.jfif", "jpeg"), ("d.tga", "tga"), ("\x1be.tga", "tga")):
        Image.new("L", (50, 40), 200).save(parts / name, kind)
    assert main(changed(config, recursive=False)) == 0
    assert rows(config)["c.jfif"]["verdict"] == "anomalous"
    told = (
        r"assed over: 3 files not named like images (\x1be.tga, d.tga, notes.txt), "
        "1 folder not looked into (day 2; --recursive looks into"
    )
    said = capsys.readouterr()
    assert told in said.out
    assert told in said.err
    assert "\x1b" not in said.out + said.err
    assert summary(config)["passed_over"] == {
        "files": ["\x1be.tga", "d.tga", "notes.txt"],
        "folders": ["day 2"],
        "places": [],
    }


def test_scores_raw_and_calibrated_and_verdicts(config):
    main(config)
    found = rows(config)
    assert float(found["a.png"]["score"]) == pytest.approx(10 / 255)
    # 10 is the 11th of the 39 scores 0, 1, ..., and 29 of them are as high or higher.
    assert float(found["a.png"]["calibrated_score"]) == pytest.approx(11 / 40)
    assert float(found["a.png"]["p_value"]) == pytest.approx(30 / 40)
    assert float(found["z.tif"]["p_value"]) == pytest.approx(1 / 40)
    assert 39 / 40 < float(found["z.tif"]["calibrated_score"]) < 1
    verdicts = [row["verdict"] for row in found.values()]
    assert verdicts == ["normal", "normal", "normal", "anomalous"]


@pytest.mark.parametrize(
    ("rule", "anomalous"),
    [("0", 4), ("rate:0.7", 3), ("quantile:1", 1), ("conformal:0.5", 3), ("0.9", 0)],
)
def test_the_image_threshold_is_chosen_afterwards(config, rule, anomalous):
    main(changed(config, image_threshold=rule))
    assert summary(config)["counts"]["anomalous"] == anomalous


def test_pixels_that_reach_their_threshold_are_marked(config):
    main(changed(config, pixel_threshold="0.08"))
    found = rows(config)
    for name, marked in (("b.jpg", False), ("day 2/a.png", True)):
        assert picture(config, "masks", name).all() == marked
        assert float(found[name]["marked_share"]) == marked


def test_16_bit_maps_have_one_scale_which_is_told(config):
    main(config)
    maps = summary(config)["maps"]
    step = (maps["high"] - maps["low"]) / 65535
    for name, value in (("a.png", 10), ("z.tif", 200)):
        raw = maps["low"] + step * picture(config, "maps", name)
        np.testing.assert_allclose(raw, value / 255, atol=step)


def test_the_summary_says_what_was_done(config):
    main(config)
    found = summary(config)
    assert found["counts"] == {"normal": 3, "anomalous": 1, "failed": 0}
    assert found["rules"]["held_out_images"] == 39
    assert found["detector"]["about"]["category"] == "screw"
    assert [row["image"] for row in found["images"]] == list(rows(config))
    assert set(found["images"][0]) == set(rows(config)["a.png"])
    assert found["speed"]["images"] == 4
    assert found["speed"]["images_per_second"] > 0


def test_broken_files_are_named_and_the_others_go_on(config, parts, capsys):
    (parts / "broken.png").write_text("no image")
    (parts / "empty.tif").touch()
    (parts / "gone.png").symlink_to(parts / "nowhere")
    Image.new("L", (5, 5)).save(parts / "tiny.png")
    assert main(config) == 3
    found = rows(config)
    failed = {name for name, row in found.items() if row["error"]}
    assert failed == {"broken.png", "empty.tif", "gone.png", "tiny.png"}
    assert summary(config)["counts"] == {"normal": 3, "anomalous": 1, "failed": 4}
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("failed: ")]
    assert len(lines) == 4
    assert all(any(name in line for line in lines) for name in failed)
    assert "4 images inspected: 1 anomalous, 3 normal; 4 could not" in said.out


def test_a_name_that_is_no_text_is_a_name(config, parts, capsys):
    path = os.fsdecode(os.fsencode(parts) + b"/\xff\n,.png")
    Image.new("L", (50, 40), 30).save(path)
    Path(os.fsdecode(os.fsencode(parts) + b"/\xfe.png")).write_text("no image")
    assert main(config) == 3
    assert summary(config)["counts"] == {"normal": 4, "anomalous": 1, "failed": 1}
    assert len(list(Path(config.out, "maps").glob("*.png"))) == 4
    assert main(config) == 3
    assert summary(config)["speed"]["images"] == 0


def test_odd_names_are_harmless_in_the_table_and_on_the_terminal(config, parts, capsys):
    names = ["=1+1.png", "@a.png", "+a.png", "-a.png", "\x1b[31mred\t.png"]
    for name in names:
        Image.new("L", (50, 40), 200).save(parts / name)
    (parts / "\x1b[2Jbroken.png").write_text("no image")
    assert main(config) == 3
    said = capsys.readouterr()
    assert r"\x1b[2Jbroken.png is truncated" in said.err
    assert (said.out + said.err).replace("\n", "").isprintable()
    cells = set(rows(config))
    assert cells.isdisjoint(names)
    assert {"./=1+1.png", "./@a.png", "./+a.png", "./-a.png"} < cells
    assert {*names} < {row["image"] for row in summary(config)["images"]}
    assert main(config) == 3
    assert summary(config)["speed"]["images"] == 0


def test_an_image_on_its_side_is_inspected_upright(config, parts):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 45)).save(parts / "a.jpg", exif=exif)
    main(config)
    assert picture(config, "maps", "a.jpg").shape == (60, 45)


def test_in_tiles(config, parts):
    Image.new("L", (300, 90), 40).save(parts / "long.png")
    assert main(changed(config, tile=64)) == 0
    found = rows(config)
    assert found["long.png"]["tiles"] == str(6 * 2)
    assert float(found["long.png"]["score"]) == pytest.approx(40 / 255)
    assert picture(config, "overlays", "long.png").shape == (90, 300, 3)
    assert summary(config)["settings"]["tiles"] == [64, 16, 0]


def test_auto_cuts_what_shows_more_than_training_did(config, parts):
    """Which saw 40 x 50 pixels: images of up to 75 are seen whole."""
    for side in (75, 76):
        Image.new("L", (side, 45), 40).save(parts / f"{side}.png")
    assert main(changed(config, tile="auto")) == 0
    tiles = {name: int(row["tiles"]) for name, row in rows(config).items()}
    assert tiles["a.png"] == tiles["75.png"] == 1
    assert tiles["76.png"] == 2 * 3


def test_16_bit_images_are_scaled_as_those_of_training(config, parts):
    wide = np.full((40, 50), 160, np.uint16)  # 10 of 255 in 12 bits
    Image.fromarray(wide).save(parts / "wide.png")
    assert main(config) == 0
    found = rows(config)
    assert found["wide.png"]["score"] == found["a.png"]["score"]


def modified(config):
    return {
        path: path.stat().st_mtime_ns
        for kind in marking.PICTURES
        for path in (Path(config.out) / kind).rglob("*.png")
    }


def test_what_has_a_result_keeps_it_and_what_changed_is_done_again(config, parts):
    main(config)
    before = modified(config)
    Image.new("L", (50, 40), 90).save(parts / "a.png")
    Image.new("L", (50, 40), 1).save(parts / "new.png")
    (parts / "b.jpg").unlink()
    Path(config.out, "masks", "z.tif.png").unlink()
    assert main(config) == 0
    after = modified(config)
    done = {p.name for p in after if after[p] != before.get(p)}
    assert done == {"a.png.png", "new.png.png", "z.tif.png"}
    again = {p for p in before if after[p] == before[p]}
    assert len(again) == 2 * 3  # b.jpg, whose image is gone, and day 2/a.png
    found = rows(config)
    assert set(found) == {"a.png", "b.jpg", "day 2/a.png", "new.png", "z.tif"}
    assert float(found["a.png"]["score"]) == pytest.approx(90 / 255)


def test_a_file_replaced_by_another_of_equal_size_and_time_is_done_again(config, parts):
    """As copies that keep times do, and cameras that write over a name."""
    part = parts / "a.bmp"
    Image.new("L", (50, 40), 10).save(part)
    before = part.stat()
    main(config)
    Image.new("L", (50, 40), 200).save(part)
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    now = part.stat()
    assert (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    main(config)
    assert rows(config)["a.bmp"]["verdict"] == "anomalous"
    assert summary(config)["speed"]["images"] == 1


def test_a_file_only_touched_keeps_its_result(config, parts):
    main(config)
    os.utime(parts / "a.png", (1, 1))
    main(config)
    assert summary(config)["speed"]["images"] == 0


def test_a_file_replaced_by_a_pipe_is_not_waited_for(config, parts):
    main(config)
    (parts / "a.png").unlink()
    os.mkfifo(parts / "a.png")
    assert main(config) == 3
    assert "is no file" in rows(config)["a.png"]["error"]


def test_a_file_that_failed_is_tried_again(config, parts):
    whole = (parts / "a.png").read_bytes()
    (parts / "a.png").write_bytes(whole[:-40])
    assert main(config) == 3
    (parts / "a.png").write_bytes(whole)
    assert main(config) == 0
    assert rows(config)["a.png"]["verdict"] == "normal"


def test_nothing_to_do_is_no_mistake(config, capsys):
    main(config)
    before = modified(config)
    assert main(config) == 0
    assert modified(config) == before
    assert "0 images to inspect" in capsys.readouterr().err


def test_results_made_otherwise_are_not_mixed(config):
    main(config)
    other = changed(config, image_threshold="0.01")
    with pytest.raises(ValueError, match=r"image_threshold: .* -> 0\.01"):
        main(other)
    assert main(changed(other, overwrite=True)) == 0
    assert summary(config)["counts"]["anomalous"] == 4


def test_stopped_by_hand_it_continues(config, monkeypatch):
    make_row = findings.make_row

    def interrupted(found, *args, **options):
        if found.name == "day 2/a.png":
            raise KeyboardInterrupt
        return make_row(found, *args, **options)

    monkeypatch.setattr(findings, "make_row", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(config)
    assert set(rows(config)) == {"a.png", "b.jpg"}
    assert not (Path(config.out) / "results.json").exists()
    monkeypatch.setattr(findings, "make_row", make_row)
    assert main(config) == 0
    assert len(summary(config)["images"]) == 4
    assert summary(config)["speed"]["images"] == 2


def test_killed_it_continues(config, parts, tmp_path):
    for i in range(60):
        Image.new("L", (800, 600), i).save(parts / f"{i}.png")
    command = ["--checkpoint", config.checkpoint, "--images", *config.images]
    command += ["--out", config.out, "--recursive", "--batch-size", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "experiments.predict", *command],
        env=os.environ | {"XLA_FLAGS": ""},
    ) as process:
        table = Path(config.out, "results.csv")
        while not (table.exists() and table.read_text().count("\n") > 3):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = {name for name, row in rows(config).items() if row["p_value"]}
    before = modified(config)
    assert 2 <= len(done) < 64
    assert main(changed(config, batch_size=2)) == 0
    assert len(rows(config)) == 64
    after = modified(config)
    kept = {path for path, when in before.items() if after[path] == when}
    assert len(kept) >= 3 * (len(done) - 1)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--checkpoint", "nowhere"], "there is no detector.zip in nowhere"),
        (["--images", "nowhere"], "there is no nowhere"),
        (["--images", "{empty}"], "there is no image in"),
        (["--out", "{parts}/found"], "lies in {parts}; results would be taken"),
        (["--out", "/proc/none"], "--out: cannot write to /proc/none"),
        (
            ["--image-threshold", "often"],
            "(--image-threshold): a rule is",
        ),
        (["--image-threshold", "conformal:0.01"], "at least 99 held-out"),
        (["--pixel-threshold", "rate:2"], "rate must be in [0, 1"),
        (["--tile", "16"], "--tile must be at least 32 pixels"),
        (["--tile", "40", "--overlap", "40"], "--overlap must be from 0 to below"),
    ],
)
def test_a_mistake_is_one_line(config, parts, tmp_path, args, message):
    (tmp_path / "empty").mkdir()
    flags = {
        "--checkpoint": config.checkpoint,
        "--images": config.images[0],
        "--out": config.out,
    }
    places = {"parts": parts, "empty": tmp_path / "empty"}
    values = [value.format(**places) for value in args[1::2]]
    flags |= dict(zip(args[::2], values, strict=True))
    words = [word for pair in flags.items() for word in pair]
    with pytest.raises(SystemExit) as stopped:
        runner.run_tool(main, Config, words)
    assert message.format(**places) in stopped.value.code
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize("args", [["--overlap", "4"], ["--batch-size", "0"]])
def test_an_impossible_flag_names_itself(config, capsys, args):
    required = ["--checkpoint", "a", "--images", "b", "--out", "c"]
    with pytest.raises(SystemExit) as stopped:
        runner.run_tool(main, Config, required + args)
    assert stopped.value.code == 2
    assert args[-2] in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_loses_nothing(config, monkeypatch):
    save = marking._save

    def fill_the_disk(image, path):
        if path.name == "z.tif.png":
            raise OSError(28, "No space left on device")
        save(image, path)

    monkeypatch.setattr(marking, "_save", fill_the_disk)
    with pytest.raises(OSError, match=r"cannot write .* \(No space left") as error:
        main(config)
    assert "The same command continues." in str(error.value)
    monkeypatch.setattr(marking, "_save", save)
    assert main(config) == 0
    assert len(summary(config)["images"]) == 4


def test_the_folder_of_a_run_will_do(artifact, tmp_path):
    assert recorder.find_artifact(artifact.parent) == artifact
    assert recorder.find_artifact(artifact.parent.parent) == artifact
    for name in ("bolt", "nut"):
        (tmp_path / name).mkdir()
        shutil.copy(artifact, tmp_path / name)
    with pytest.raises(ValueError, match="holds several, of bolt, nut"):
        recorder.find_artifact(tmp_path)


def test_earlier_results_are_not_inspected(config, tmp_path):
    main(config)
    pattern = (str(tmp_path / "found" / "**" / "*.png"),)
    with pytest.raises(ValueError, match=r"images lie in .*maps; results would"):
        main(changed(config, images=pattern))


def test_results_that_another_process_writes_are_left_to_it(config, hold_folder):
    assert main(config) == 0
    written = Path(config.out, "results.csv").read_bytes()
    process = hold_folder(config.out)
    with pytest.raises(OSError, match=rf"^--out: .* is by process {process.pid} on"):
        main(changed(config, overwrite=True))
    assert Path(config.out, "results.csv").read_bytes() == written
    assert Path(config.out, "results.json").exists()


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.ENOSPC, "No space left on device\\); free some space, or give another"),
        (errno.EROFS, "Read-only file system\\); give another --out"),
    ],
)
def test_space_is_asked_for_where_it_is_short(config, monkeypatch, number, what):
    def refuse(ledger, row):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(recorder.Ledger, "add", refuse)
    with pytest.raises(OSError, match=rf"cannot write in {config.out} \({what}"):
        main(config)
