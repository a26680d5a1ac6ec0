import dataclasses
import json
import math

import numpy as np
import pytest
from PIL import Image

from experiments import mvtec, runner
from experiments.localisation import COLUMNS
from experiments.methods import METHODS
from vae_jax.data import synthetic

CATEGORY = "synthetic_gear"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mvtec")


@pytest.fixture(scope="module")
def config(folder):
    data = synthetic.write_synthetic(folder / "data", image_size=32, train=12, test=16)
    settings = dataclasses.replace(
        mvtec.QUICK,
        workdir=str(folder / "run"),
        image_size=32,
        latents=4,
        epochs=6,
        batch_size=8,
        evaluations=2,
    )
    return mvtec.Config(
        data_dir=str(data),
        category=(CATEGORY,),
        cache_dir=str(folder / "cache"),
        settings=settings,
    )


@pytest.fixture(scope="module")
def rows(config):
    return mvtec.main(config)


def test_every_method_has_a_row_with_every_figure(rows, folder):
    content = json.loads((folder / "run" / "results.json").read_text())
    assert content["rows"] == rows
    assert [row["method"] for row in rows] == list(METHODS)
    assert {row["kind"] for row in rows} == {"attention", "baseline", "floor"}
    for row in rows:
        assert row.keys() == COLUMNS.keys()
        assert all(math.isfinite(row[name]) for name in list(COLUMNS)[3:])


def test_results_say_what_they_were_made_from(rows, config, folder):
    content = json.loads((folder / "run" / "results.json").read_text())
    assert content["config"]["settings"]["epochs"] == 6
    assert content["data"]["source"] == config.data_dir
    assert content["data"][CATEGORY]["train_images"] == 11
    assert content["data"][CATEGORY]["validation_images"] == 1
    assert {"jax", "device"} <= content["versions"].keys()
    assert {row["category"] for row in content["defects"]} == {CATEGORY}


@pytest.mark.parametrize(
    "name", ["panel", "panel_paper", "latents", "curves", "training"]
)
def test_every_picture_is_drawn(rows, folder, name):
    with Image.open(folder / "run" / CATEGORY / f"{name}.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


def test_a_finished_run_is_evaluated_again_without_training(rows, config, folder):
    log = folder / "run" / CATEGORY / "metrics.jsonl"
    before = log.read_text()
    assert mvtec.main(config) == rows
    assert log.read_text() == before


def test_another_configuration_in_the_same_workdir_is_refused(rows, config):
    settings = dataclasses.replace(config.settings, latents=5)
    with pytest.raises(ValueError, match=r"settings\.latents: 4 -> 5"):
        mvtec.main(dataclasses.replace(config, settings=settings))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data-dir", "nowhere"], "there is no folder nowhere"),
        (["--category", "synthetic_gaer"], "did you mean 'synthetic_gear'"),
        (["--batch-size", "12"], "multiple of the number of devices"),
        (["--tap", "conv9"], "unknown tap 'conv9'"),
        (["--network", "resnet18"], "from 64 to 256"),
    ],
)
def test_a_mistake_is_one_line(config, rows, folder, args, message):
    settings = dataclasses.replace(config.settings, workdir=str(folder / "mistake"))
    presets = {"quick": dataclasses.replace(config, settings=settings)}
    with pytest.raises(SystemExit) as stopped:
        runner.run(mvtec.main, presets, args)
    assert message in stopped.value.code
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("learning_rate", 0.0), ("blur", -1.0), ("ema_decay", 1.0)],
)
def test_impossible_settings_name_their_flag(field, value):
    with pytest.raises(ValueError, match="--" + field.replace("_", "-")):
        dataclasses.replace(mvtec.QUICK, **{field: value})


def test_published_means_are_those_of_the_paper():
    auroc, iou = np.mean(list(mvtec.PUBLISHED.values()), axis=0)
    assert len(mvtec.PUBLISHED) == 15
    assert auroc == pytest.approx(0.861, abs=5e-4)
    assert iou == pytest.approx(0.205, abs=5e-4)
