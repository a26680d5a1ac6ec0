import dataclasses
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import vae
from experiments.launch import runner
from experiments.plain_vae import collapse, networks, pictures, settings, tables
from vae_jax import models
from vae_jax.data import image_sets


@pytest.fixture(scope="module", autouse=True)
def few():
    digits = image_sets.load()
    small = image_sets.ImageSet(
        digits.source,
        digits.train_images[:64, 7:21, 7:21],
        digits.train_labels[:64],
        digits.test_images[:60, 7:21, 7:21],
        digits.test_labels[:60],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_sets, "load", lambda *_, **__: small)
        patch.setattr(collapse, "EVALUATIONS", 2)
        patch.setattr(collapse, "LAYERS", 1)
        patch.setattr(collapse, "FEATURES", 4)
        patch.setattr(collapse, "SHOWN", 2)
        patch.setattr(tables, "STEPS", 3)
        patch.setattr(pictures, "MANIFOLD", 3)
        yield


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return vae.Config(
        workdir=str(tmp_path_factory.mktemp("vae")),
        hidden=8,
        latents=3,
        epochs=2,
        batch_size=32,
        collapse_steps=2,
        seeds=2,
    )


@pytest.fixture(scope="module")
def rows(config):
    return vae.main(config)


@pytest.mark.slow
def test_every_table_is_whole(rows):
    assert [row["beta"] for row in rows["The weight of the rate"]] == [1, 2, 4, 10]
    assert [row["setting"] for row in rows["Latent spaces"]] == [*settings.SETTINGS]
    rules = [row["rule"] for row in rows["A decoder that can do without latents"]]
    assert rules == [collapse.CONSTANT, collapse.ANNEALED, collapse.FREE]
    for row in rows["The weight of the rate"]:
        assert re.fullmatch(r"[\d.]+ ± [\d.]+", row["negative_elbo"])


@pytest.mark.slow
def test_the_page_shows_every_picture_and_the_file_holds_every_table(rows, config):
    page = (config.folder / "report.html").read_text()
    assert page.count("data:image/png") == 12
    with open(config.folder / "results.json") as file:
        content = json.load(file)
    assert content["tables"] == rows
    assert content["config"]["hidden"] == 8


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(rows, config, capsys):
    assert vae.main(config) == rows
    assert "step 4/4" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_of_other_settings_is_refused(rows, config):
    with pytest.raises(ValueError, match="hidden"):
        vae.main(dataclasses.replace(config, hidden=9))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--hidden", "0"], "--hidden must be at least 1, got 0"),
        (["--free-bits", "-1"], "--free-bits must be at least 0 nats"),
        (["--free-bits", "1", "--capacity", "3"], "0 beside --capacity"),
    ],
)
def test_flags_that_cannot_be_are_refused(flags, message, capsys):
    with pytest.raises(SystemExit):
        runner.parse(vae.PRESETS, flags)
    assert message in capsys.readouterr().err


def test_a_class_that_is_not_there_is_named(config):
    with pytest.raises(ValueError, match="--pair: there is no class 11"):
        vae.main(dataclasses.replace(config, pair=(4, 11)))


@pytest.mark.parametrize("network", ["mlp", "conv"])
@pytest.mark.parametrize(
    "likelihood", ["gaussian", "learned_gaussian", "logistic_mixture"]
)
def test_what_a_decoder_says_is_read_as_images(network, likelihood):
    built = networks.build(network, likelihood, (8, 8, 3), hidden=4, latents=2)
    variables = models.init(built.model, key=jax.random.key(0))
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    output = built.model.apply(variables, jnp.asarray(images), noise=jnp.zeros((2, 2)))
    assert np.isfinite(built.likelihood(jnp.asarray(images), output.decoded)).all()
    drawn = np.asarray(built.as_images(output.decoded))
    assert drawn.shape == images.shape
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_halved_images_are_the_means_of_their_blocks():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    found = collapse.halved(images)
    assert found.shape == (2, 2, 2, 1)
    expected = images[1, 2:4, 0:2].astype(float).mean()
    assert found[1, 1, 0, 0] == round(expected)


def test_a_linear_classifier_reads_classes_that_lie_apart():
    labels = np.arange(60) % 3
    codes = jnp.asarray(np.eye(3)[labels] + 0.01, jnp.float32)
    half = np.arange(60) < 30
    assert tables.linear_accuracy(codes, half, labels) == 1
    assert np.isnan(tables.linear_accuracy(codes, half, np.arange(60)))
