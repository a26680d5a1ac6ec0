import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.family import fit, page
from experiments.family.settings import Family
from vae_jax import train
from vae_jax.report import html

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 2, 2, 1), np.uint8)
DATA = {"image": IMAGES, "label": np.arange(50)}


def loss_fn(params, model_state, batch, *, key, step, hyper):
    """Its minimum is the mean image, times `scale`."""
    distance = batch["image"].reshape(-1, 4) - (params / hyper["scale"])[None]
    loss = jnp.mean(jnp.sum(jnp.square(distance), axis=-1))
    return loss, train.Aux({"distance": loss}, model_state)


def run(folder, *, epochs, loops=True):
    family = Family(str(folder), epochs=epochs, batch_size=10, learning_rate=0.02)
    family = dataclasses.replace(family, seeds=2)
    return fit.train_runs(
        folder,
        loss_fn,
        lambda key: (jnp.zeros(4), {}),
        DATA,
        family=family,
        draw=fit.make_draw(10),
        epoch_steps=family.steps_per_epoch(len(IMAGES)),
        identity={"images": "noise"},
        hyper={"scale": np.array([1.0, 2.0], np.float32)},
        evaluate=lambda state: {"mean": np.asarray(state.params).mean(axis=1)},
        loops=loops,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return run(tmp_path_factory.mktemp("runs"), epochs=60)


def test_every_run_finds_its_minimum_and_leaves_a_curve(trained):
    found = np.asarray(trained.params)
    mean = IMAGES.reshape(-1, 4).mean(axis=0) / 255
    np.testing.assert_allclose(found, [mean, 2 * mean], atol=0.12)
    assert [line["step"] for line in trained.history[:2]] == [5, 10]
    assert len(trained.history) == 60
    np.testing.assert_allclose(trained.history[-1]["mean"], found.mean(1), rtol=1e-5)
    np.testing.assert_array_equal(trained.variables(1)["params"], found[1])


def test_a_run_goes_on_where_it_was_stopped(trained, tmp_path):
    run(tmp_path, epochs=3)
    whole = run(tmp_path, epochs=60)
    np.testing.assert_array_equal(whole.params, trained.params)
    assert len(whole.history) == 60


def test_batches_are_of_the_data_and_binarised_by_their_gray_values():
    images = np.full((3, 1, 1, 1), 51, np.uint8)
    data = {"image": jnp.asarray(images), "label": jnp.arange(3)}
    batch = fit.make_draw(5000, binarise=True)(data, jax.random.key(0))
    values = np.asarray(batch["image"])
    assert set(np.unique(values)) == {0.0, 1.0}
    # 0.2 with five standard errors
    assert values.mean() == pytest.approx(0.2, abs=5 * (0.2 * 0.8 / 5000) ** 0.5)
    np.testing.assert_allclose(
        np.bincount(batch["label"]) / 5000, 1 / 3, atol=5 * (2 / 9 / 5000) ** 0.5
    )
    gray = fit.make_draw(4)(data, jax.random.key(0))["image"]
    np.testing.assert_allclose(gray, 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "--epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "--batch-size must be at least 1, got 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be a positive number"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Family(**{"workdir": "x", "epochs": 1} | given)


def test_the_page_holds_what_the_table_file_holds(tmp_path, capsys):
    family = Family(str(tmp_path), epochs=2, seeds=3, seed=4)
    page.write(
        tmp_path,
        title="A family",
        source="noise",
        config=family,
        family=family,
        verdicts=["It learns."],
        tables=[html.Table("Losses", [{"loss": 1.5}], {"loss": "Loss"})],
    )
    text = (tmp_path / "report.html").read_text()
    for part in ("A family", "noise", "It learns.", "1.500", "4, 5, 6"):
        assert part in text
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["tables"] == {"Losses": [{"loss": 1.5}]}
    assert content["config"]["seed"] == 4
    assert "It learns." in capsys.readouterr().out
