import csv
import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import dsprites, sweep_runs
from vae_jax import factor_images

CONFIG = dataclasses.replace(
    dsprites.PRESETS["quick"],
    held_steps=(1, 1, 2, 2, 2),
    sweep=dataclasses.replace(
        dsprites.QUICK,
        objectives=("factor-vae", "ad-factor-vae"),
        network="kim",
        latents=3,
        steps=2,
        seeds=2,
        batch_size=4,
        discriminator_layers=1,
        discriminator_width=4,
        evaluations=2,
    ),
)
SETTINGS = {
    "factor-vae": "factor-vae-gamma-40",
    "ad-factor-vae": "ad-factor-vae-relu4-gamma-40-attention-20",
}


def at(folder, **changes):
    sweep = dataclasses.replace(CONFIG.sweep, workdir=str(folder), **changes)
    return dataclasses.replace(CONFIG, sweep=sweep)


@pytest.fixture(scope="module")
def small():
    """The whole set takes long to draw without the compiler's optimisations."""
    return factor_images.procedural_dsprites((1, 5, 10, 8, 8))


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dsprites")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factor_images, "procedural_dsprites", lambda: small)
        rows = dsprites.main(at(folder))
    return folder, rows


def test_every_setting_has_a_row_over_its_seeds(run):
    _, rows = run
    assert [row["objective"] for row in rows] == list(SETTINGS)
    for row in rows:
        assert row["seeds"] == 2
        assert row["negative_elbo"] == pytest.approx(row["distortion"] + row["rate"])
        assert row["factor_vae_interval"] >= 0
        assert 0 <= row["udr_spearman"] <= 1


def test_results_are_files_that_other_tools_read(run):
    folder, rows = run
    saved = json.loads((folder / "results.json").read_text())
    assert saved["rows"] == rows
    assert [each["seed"] for each in saved["runs"]] == [0, 1, 0, 1]
    mean = np.mean([each["rate"] for each in saved["runs"][:2]])
    assert rows[0]["rate"] == pytest.approx(mean)
    with (folder / "results.csv").open() as file:
        assert float(next(csv.DictReader(file))["rate"]) == pytest.approx(mean)


def test_the_pictures_of_the_paper_are_drawn_and_those_of_each_setting(run):
    folder, _ = run
    names = ["figure8", "figure9", "curves-factor-vae", "curves-ad-factor-vae-relu4"]
    for file in SETTINGS.values():
        names += [f"{kind}-{file}" for kind in ("traversals", "votes", "information")]
        with Image.open(folder / f"traversals-{file}.gif") as moving:
            assert moving.n_frames > 10
    for name in names:
        with Image.open(folder / f"{name}.png") as picture:
            assert picture.width > 200


def test_a_finished_sweep_gives_the_same_table_again(run, small, monkeypatch):
    """Nothing is trained: every group resumes at its last step."""
    folder, rows = run
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)
    assert dsprites.main(at(folder)) == rows


def test_runs_of_a_group_are_those_of_the_same_seed_alone(run, small, tmp_path):
    """Trained side by side or one by one, up to the rounding of sums."""
    folder, _ = run
    whole, alone = at(folder).sweep, at(tmp_path, seeds=1, seed=1).sweep
    held = small.every(CONFIG.held_steps)
    both = sweep_runs.train_group(whole, whole.groups()[0], small, held)
    one = sweep_runs.train_group(alone, alone.groups()[0], small, held)
    for ours, theirs in zip(
        jax.tree.leaves(both.params_of(1)),
        jax.tree.leaves(one.params_of(0)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_another_setting_in_the_same_folder_is_refused(run, small):
    folder, _ = run
    other = at(folder, gamma=(10.0,)).sweep
    held = small.every(CONFIG.held_steps)
    with pytest.raises(ValueError, match="gamma"):
        sweep_runs.train_group(other, other.groups()[0], small, held)


def test_a_factor_of_which_one_value_is_left_is_named(small, monkeypatch):
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)
    config = dataclasses.replace(CONFIG, held_steps=(1, 2, 2, 2, 2))
    with pytest.raises(
        ValueError, match=r"--held-steps must leave two .* one of scale"
    ):
        dsprites.load(config)


def test_an_unknown_tap_is_told_before_anything_is_trained(small):
    sweep = at("nowhere", taps=("relu9",)).sweep
    with pytest.raises(ValueError, match=r"--taps: there is no 'relu9'; .* relu4"):
        sweep_runs.check(sweep, small)
    plain = at("nowhere", taps=("relu9",), objectives=("vae",)).sweep
    sweep_runs.check(plain, small)  # which explains nothing
