import contextlib
import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from experiments import mvtec, ucsd_ped1
from experiments.launch import runner
from experiments.localisation import prepare, published
from vae_jax import train
from vae_jax.data.category import TestImages
from vae_jax.data.synthetic import walkway


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ucsd_ped1")


@pytest.fixture(scope="module")
def data_dir(folder):
    return walkway.write_walkway(folder / "data", frames=8, train=2)


@pytest.fixture(scope="module")
def config(folder, data_dir):
    settings = dataclasses.replace(
        ucsd_ped1.QUICK,
        workdir=str(folder / "run"),
        # As in test_mvtec: what one compiles serves the other.
        image_size=32,
        width=4,
        latents=4,
        epochs=1,
        batch_size=8,
        evaluations=1,
        methods=(*ucsd_ped1.TABLE_1, "distance-from-mean"),
    )
    return ucsd_ped1.Config(
        data_dir=str(data_dir), cache_dir=str(folder / "cache"), settings=settings
    )


@pytest.fixture(scope="module")
def run(config):
    """The rows, and what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        rows = ucsd_ped1.main(config)
    return rows, printed.getvalue()


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(train, "fit", refuse)


def changed(config, **settings):
    return dataclasses.replace(
        config, settings=dataclasses.replace(config.settings, **settings)
    )


def results(folder):
    return json.loads((folder / "run" / "results.json").read_text())


FIGURES = ("pixel_auroc", "aupro", "best_iou", "image_auroc")


def test_table_1_has_every_figure(run):
    rows, _ = run
    found = {row["method"]: row for row in rows}
    assert {*ucsd_ped1.TABLE_1, "distance-from-mean"} <= found.keys()
    for row in rows:
        assert row["category"] == "ped1"
        assert all(0 <= row[name] <= 1 for name in FIGURES)
    attention = {found[f"paper@conv{n}"]["pixel_auroc"] for n in (1, 2, 3)}
    assert len(attention) == 3


def test_what_is_scored_and_what_the_paper_says_is_printed(run):
    _, out = run
    assert "published: VAE attention, 25x25" in out
    assert "says neither which test clips were scored" in out
    assert "Protocol ped1_10" in out
    assert "image AUROC is that of frames" in out
    # A row for each masked clip.
    assert all(f"| Test00{number} " in out for number in (1, 3, 4, 6))


@pytest.mark.parametrize("name", ["figure5", "panel", "curves", "training"])
def test_every_picture_is_drawn(run, folder, name):
    with Image.open(folder / "run" / "ped1" / f"{name}.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.slow
def test_by_frames_the_same_network_is_scored_without_pixels(
    run, config, folder, capsys
):
    log = folder / "run" / "ped1" / "metrics.jsonl"
    before = log.read_text()
    by_frames = ucsd_ped1.main(dataclasses.replace(config, protocol="ped1_frame"))
    assert log.read_text() == before
    for row in by_frames:
        assert row["image_auroc"] is not None
        assert all(row[name] is None for name in FIGURES if name != "image_auroc")
    content = results(folder)
    assert content["published"] == []
    assert content["config"]["protocol"] == "ped1_frame"
    assert content["data"]["ped1"]["test_images"] == 6 * 8
    assert "no figures of pixels" in capsys.readouterr().out


def test_another_annotation_scores_every_clip_and_says_that_nothing_compares(
    config, tmp_path
):
    for number in range(1, 7):
        clip = walkway.render_clip(f"Test{number:03}", seed=0, frames=8)
        masks = tmp_path / f"Test{number:03}_gt"
        masks.mkdir()
        for index, frame in enumerate(clip, 1):
            mask = Image.fromarray(frame.mask.astype(np.uint8) * np.uint8(255))
            mask.save(masks / f"frame{index}.bmp")
    full = dataclasses.replace(config, protocol="ped1_full", masks_dir=str(tmp_path))
    test = ucsd_ped1.load(full, full.settings).test
    assert test.has_masks
    assert len(test.images) == 6 * 8
    assert {f"Test00{number}" for number in range(1, 7)} < set(test.defects)
    assert "no published figure compares" in ucsd_ped1.NOTES["ped1_full"]


def test_without_a_folder_it_is_called_synthetic(config, data_dir, monkeypatch, capsys):
    monkeypatch.setattr(walkway, "write_walkway", lambda folder: data_dir)
    bare = dataclasses.replace(config, data_dir=None)
    data = ucsd_ped1.load(bare, bare.settings)
    assert data.category == "synthetic_walkway"
    assert published.table_1_rows(data.category) == []
    assert "synthetic" in capsys.readouterr().err


def test_a_broken_frame_is_said_in_one_line(config, data_dir, tmp_path, capsys):
    copy = shutil.copytree(data_dir, tmp_path / "copy")
    broken = copy / walkway.ROOT / "Test" / "Test002" / "005.tif"
    broken.write_bytes(broken.read_bytes()[:1000])
    spoilt = dataclasses.replace(config, data_dir=str(copy))
    ucsd_ped1.load(spoilt, spoilt.settings)
    assert capsys.readouterr().err.splitlines() == [
        "Test/Test002/005.tif cannot be read: Test/Test002/004.tif stands in for it"
    ]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data-dir", "nowhere"], "there is no folder nowhere"),
        (["--data-dir", "/proc"], "holds no UCSD Ped1"),
        (["--tap", "conv9"], "there is no 'conv9'"),
        (["--methods", "paper@conv9"], "there is no 'conv9'"),
        (["--network", "ped1"], "--image-size"),
        (["--batch-size", "12"], "multiple of the number of devices"),
        (["--cache-dir", "/proc/none"], "--cache-dir"),
        (["--workdir", "/proc/none"], "cannot write"),
    ],
)
def test_a_mistake_is_one_line_before_training(
    config, folder, no_training, args, message
):
    presets = {"quick": changed(config, workdir=str(folder / "mistake"))}
    with pytest.raises(SystemExit) as stopped:
        runner.run(ucsd_ped1.main, presets, args)
    assert message in stopped.value.code
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize(
    "args", [["--protocol", "ped1_full"], ["--masks-dir", "somewhere"]]
)
def test_another_annotation_and_its_protocol_need_each_other(config, args, capsys):
    with pytest.raises((SystemExit, ValueError)) as stopped:
        runner.run(ucsd_ped1.main, {"quick": config}, args)
    said = f"{stopped.value}{capsys.readouterr().err}"
    assert "ped1_full and --masks-dir need each other" in said


@pytest.mark.parametrize("preset", ucsd_ped1.PRESETS)
def test_presets_can_run(preset):
    settings = ucsd_ped1.PRESETS[preset].settings
    prepare.check(dataclasses.replace(settings, batch_size=train.data_mesh().size))


def test_the_panel_shows_a_normal_frame_and_the_median_of_each_clip():
    areas = [0, 4, 9, 1, 0, 2]
    masks = np.zeros((6, 4, 4), np.bool_)
    for mask, area in zip(masks, areas, strict=True):
        mask.reshape(-1)[:area] = True
    test = TestImages(
        images=np.zeros((6, 4, 4, 1), np.uint8),
        masks=masks,
        defects=("good", "Test003", "Test003", "Test003", "good", "Test001"),
        paths=("",) * 6,
        native_masks=(),
    )
    chosen = ucsd_ped1.telling_frames(test)
    assert list(chosen) == ["good", "Test001", "Test003"]
    assert (chosen["Test001"], chosen["Test003"]) == (5, 1)


def test_published_figures_are_those_of_the_paper():
    """The residual loses to each of the three maps, and the middle one is best."""
    assert list(published.TABLE_1.values()) == [
        ("baseline", 0.86),
        ("attention", 0.89),
        ("attention", 0.92),
        ("attention", 0.91),
    ]


def test_baselines_are_small_in_all_presets_but_the_paper_s():
    for name, preset in ucsd_ped1.PRESETS.items():
        small, own = mvtec.QUICK, preset.settings
        published = name == "paper"
        assert own.anogan_width == (64 if published else small.anogan_width)
        batch = None if published else small.baseline_batch_size
        assert own.baseline_batch_size == batch
