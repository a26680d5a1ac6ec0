import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from experiments import latents
from experiments.latent_spaces import pictures as latent_pictures
from experiments.latent_spaces import traversals
from experiments.launch import runner
from experiments.localisation import prepare
from vae_jax import train
from vae_jax.data import image_sets as data

PAIRS = ((3, 8),)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return latents.Config(
        workdir=str(tmp_path_factory.mktemp("latents")),
        latents=3,
        width=2,
        epochs=1,
        batch_size=64,
        pairs=PAIRS,
    )


@pytest.fixture(scope="module", autouse=True)
def few_points():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traversals, "FRAMES", 3)
        for name, few in (("POINTS", 7), ("MANIFOLD", 4), ("PLANE", 8)):
            patch.setattr(latent_pictures, name, few)
        yield


@pytest.fixture(scope="module")
def rows(config):
    return latents.main(config)


def test_every_pair_has_three_lengths_and_none_is_shorter_than_a_geodesic(rows):
    found = [(row["latents"], row["from"], row["to"]) for row in rows]
    assert found == [(n, a, b) for n in (3, 2) for a, b in PAIRS]
    for row in rows:
        # At its even speed, the square of its length is the least.
        assert 0 < row["geodesic"] <= 1.01 * min(row["linear"], row["spherical"])


def test_files_hold_the_lengths_and_say_what_they_were_made_from(rows, config):
    with open(f"{config.workdir}/results.json") as file:
        content = json.load(file)
    assert content["lengths"] == rows
    assert content["data"]["source"] == data.EMBEDDED_SOURCE
    assert content["config"]["latents"] == 3


@pytest.mark.parametrize(
    "name",
    [
        "traversals.png",
        "traversals.gif",
        "interpolation.png",
        "arithmetic.png",
        "manifold.png",
        "plane.png",
    ],
)
def test_every_picture_is_drawn(rows, config, name):
    with Image.open(f"{config.workdir}/{name}") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.slow
def test_a_finished_run_is_printed_again_without_training(rows, config, capsys):
    assert latents.main(config) == rows
    out = capsys.readouterr()
    assert "Data: scikit-learn digits, 8x8 upscaled" in out.out
    assert "geodesic" in out.out
    assert "loss" not in out.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--pairs", "3", "12"], "there is no digit 12"),
        (["--data-dir", "nowhere"], "that holds mnist/3.0.1"),
        (["--batch-size", "12"], "multiple of the number of devices"),
    ],
)
def test_a_mistake_is_one_line_before_training(config, monkeypatch, args, message):
    def refuse(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(train, "fit", refuse)
    with pytest.raises(SystemExit) as stopped:
        runner.run(latents.main, {"quick": config}, args)
    assert message in stopped.value.code
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize("preset", latents.PRESETS)
def test_presets_can_run(preset):
    settings = latents.PRESETS[preset].settings(2)
    prepare.check(dataclasses.replace(settings, batch_size=train.data_mesh().size))
