import csv
import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

from experiments import mnist
from experiments.launch import runner
from experiments.localisation import prepare
from experiments.one_class import scores as one_class
from vae_jax import detection, models, train
from vae_jax.data import mnist as data
from vae_jax.detection.methods import DEFAULT_METHOD

TFDS = os.environ.get("VAE_JAX_TFDS")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mnist")


@pytest.fixture(scope="module", autouse=True)
def few_digits():
    """Some 30 training and 10 test images of each digit."""

    def load(*args, **options):
        digits = load_digits(*args, **options)
        return dataclasses.replace(
            digits,
            train_images=digits.train_images[:300],
            train_labels=digits.train_labels[:300],
            test_images=digits.test_images[:100],
            test_labels=digits.test_labels[:100],
        )

    load_digits = data.load_digits
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load_digits", load)
        yield


@pytest.fixture(scope="module")
def config(folder):
    settings = dataclasses.replace(
        mnist.QUICK,
        workdir=str(folder),
        width=2,
        latents=3,
        epochs=1,
        batch_size=8,
        evaluations=1,
        methods=("paper",),
    )
    return mnist.Config(normal=(3,), test_images=4, samples=3, settings=settings)


@pytest.fixture(scope="module")
def rows(config):
    return mnist.main(config)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(train, "fit", refuse)


def changed(config, **settings):
    return dataclasses.replace(
        config, settings=dataclasses.replace(config.settings, **settings)
    )


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_every_pair_of_a_normal_and_another_digit_has_every_score(rows):
    pairs = {(row["normal"], row["abnormal"]) for row in rows}
    assert pairs == {(3, other) for other in range(10) if other != 3}
    for row in rows:
        assert row.keys() == {"seed", "normal", "abnormal", *one_class.KINDS}
        assert all(0 <= row[name] <= 1 + 1e-9 for name in one_class.KINDS)
        assert row["ink"] + row["little-ink"] == pytest.approx(1)


def test_files_hold_the_rows_and_say_what_they_were_made_from(rows, folder):
    content = read(folder, "pairs.json")
    assert content["pairs"] == rows
    assert content["data"]["source"] == "scikit-learn digits, 8x8 upscaled"
    assert content["config"]["samples"] == 3
    with open(folder / "pairs.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert [float(row["ink"]) for row in written] == [row["ink"] for row in rows]


def test_strokes_have_the_figures_of_a_localisation_experiment(rows, folder):
    content = read(folder, "results.json")
    categories = {row["category"] for row in content["rows"]}
    assert categories == {"digit3"}
    assert {row["defect"] for row in content["defects"]} == {"pasted", "erased"}
    paper = next(row for row in content["rows"] if row["method"] == "paper")
    assert all(paper[name] is not None for name in ("pixel_auroc", "aupro", "best_iou"))


@pytest.mark.parametrize(
    "name",
    ["digit3/others", "digit3/others_paper", "digit3/panel", "pairs/reconstruction"],
)
def test_every_picture_is_drawn(rows, folder, name):
    with Image.open(folder / f"{name}.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.slow
def test_a_finished_run_is_evaluated_and_printed_again_without_training(
    rows, config, folder, capsys
):
    log = folder / "digit3" / "metrics.jsonl"
    before = log.read_text()
    capsys.readouterr()
    assert mnist.main(config) == rows
    assert log.read_text() == before
    out = capsys.readouterr().out
    assert "Data: scikit-learn digits, 8x8 upscaled" in out
    assert "9 pairs" in out
    assert f"{DEFAULT_METHOD}-max" in out
    assert "every floor" in out
    assert "Reconstruction error finds a " in out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data-dir", "nowhere"], "that holds mnist/3.0.1"),
        (["--normal", "3", "12"], "there is no digit 12; known: 0, 1"),
        (["--normal"], "at least one digit"),
        (["--tap", "conv3"], "there is no 'conv3'"),
        (["--batch-size", "12"], "multiple of the number of devices"),
        (["--network", "resnet18"], "from 64 to 256"),
        (["--workdir", "/proc/none"], "cannot write"),
    ],
)
def test_a_mistake_is_one_line_before_training(
    config, folder, no_training, args, message
):
    presets = {"quick": changed(config, workdir=str(folder / "mistake"))}
    with pytest.raises(SystemExit) as stopped:
        runner.run(mnist.main, presets, args)
    assert message in stopped.value.code
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize("flag", ["image-size", "test-images", "samples"])
def test_impossible_numbers_name_their_flag(config, flag, capsys):
    with pytest.raises((SystemExit, ValueError)) as stopped:
        runner.run(mnist.main, {"quick": config}, [f"--{flag}", "0"])
    said = f"{stopped.value}{capsys.readouterr().err}"
    assert f"--{flag} must be" in said


@pytest.mark.parametrize("preset", mnist.PRESETS)
def test_presets_can_run(preset):
    settings = mnist.PRESETS[preset].settings
    prepare.check(dataclasses.replace(settings, batch_size=train.data_mesh().size))


def test_the_paper_preset_is_the_network_of_the_authors():
    settings = mnist.PRESETS["paper"].settings
    explainer = detection.build_explainer(**settings.network_options(), channels=1)
    assert explainer.model == models.mnist_vae()


@pytest.mark.data
@pytest.mark.skipif(not TFDS, reason="VAE_JAX_TFDS is not set")
def test_it_runs_on_mnist(config, tmp_path):
    real = dataclasses.replace(config, data_dir=TFDS, normal=(7,))
    rows = mnist.main(changed(real, workdir=str(tmp_path), batch_size=256))
    assert len(rows) == 9
    assert read(tmp_path, "pairs.json")["data"]["source"] == "MNIST"
