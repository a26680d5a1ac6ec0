import csv
import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import dsprites
from experiments.disentanglement import pictures, presets, runs, scores
from experiments.disentanglement.representation import Evaluation
from vae_jax import factor_images
from vae_jax.metrics.disentanglement import STANDARD

CONFIG = dataclasses.replace(
    dsprites.PRESETS["quick"],
    evaluation_strides=(1, 1, 2, 2, 2),
    sweep=dataclasses.replace(
        presets.QUICK,
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
def evaluation(small):
    return Evaluation(small.every(CONFIG.evaluation_strides), STANDARD, False, 0.5)


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
        assert 0 <= row["empty_maps_relu4"] <= 1


def test_results_are_files_that_other_tools_read(run):
    folder, rows = run
    saved = json.loads((folder / "results.json").read_text())
    assert saved["rows"] == rows
    assert [each["seed"] for each in saved["runs"]] == [0, 1, 0, 1]
    assert saved["unfinished"] == []
    for each in saved["runs"]:
        assert sum(each["kl"]) == pytest.approx(each["rate"], rel=1e-4)
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
    """Nothing is trained or scored: groups resume at their last step."""
    folder, rows = run
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)
    monkeypatch.setattr(scores, "_score", None)
    assert dsprites.main(at(folder)) == rows


def test_scores_are_kept_for_what_they_were_made_of_alone(run, evaluation):
    sweep = at(run[0]).sweep
    group = sweep.groups()[0]
    kept = scores.kept_scores(sweep, group, evaluation)
    assert [scored.number for scored in kept] == [0, 1]
    assert kept[0].scores["udr_spearman"] >= 0
    for other in (
        evaluation._replace(trees=True),
        evaluation._replace(protocol=scores.protocol_named("repro2021")),
        evaluation._replace(images=evaluation.images.every((1, 1, 1, 1, 2))),
    ):
        assert scores.kept_scores(sweep, group, other) == []
    longer = dataclasses.replace(sweep, steps=3)
    assert scores.kept_scores(longer, group, evaluation) == []


def test_a_broken_file_of_scores_is_made_anew(run, small, evaluation):
    sweep = at(run[0]).sweep
    group = sweep.groups()[0]
    (kept, _) = scores.kept_scores(sweep, group, evaluation)
    file = runs.group_folder(sweep, group) / "scores" / "0.npz"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert scores.kept_scores(sweep, group, evaluation) == []
    trained = runs.train_group(sweep, group, small, evaluation)
    again = scores.score_group(sweep, trained, evaluation)
    assert again[0].scores == pytest.approx(kept.scores)
    np.testing.assert_array_equal(again[0].votes, kept.votes)
    assert len(file.read_bytes()) == len(whole)


def test_a_sweep_started_again_keeps_what_it_found_of_later_groups(
    run, small, monkeypatch
):
    folder, rows = run
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "draw_all", stop)
    monkeypatch.setattr(runs, "train_group", _once(runs.train_group))
    with pytest.raises(KeyboardInterrupt):
        dsprites.main(at(folder))
    assert json.loads((folder / "results.json").read_text())["rows"] == rows


def _once(function):
    """`function`, which is interrupted when it is called again."""
    called = []

    def wrapped(*arguments):
        if called:
            raise KeyboardInterrupt
        called.append(arguments)
        return function(*arguments)

    return wrapped


@pytest.mark.slow
def test_a_group_that_diverges_does_not_stop_the_others(
    small, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)
    config = at(tmp_path, objectives=("factor-vae", "vae"), gamma=(1e38,), seeds=1)
    with pytest.raises(FloatingPointError, match="runs of factor-vae diverged"):
        dsprites.main(config)
    shown = capsys.readouterr()
    assert "in run gamma 1e+38, seed 0" in shown.err
    assert "Going on with the next group" in shown.err
    saved = json.loads((tmp_path / "results.json").read_text())
    assert [row["objective"] for row in saved["rows"]] == ["vae"]
    assert saved["unfinished"] == ["factor-vae"]
    assert (tmp_path / "figure8.png").exists()
    assert not (tmp_path / "figure9.png").exists()
    assert "figure8.png" in shown.out
    assert "figure9.png" not in shown.out


def test_the_typical_of_two_runs_is_the_lower(run, evaluation):
    sweep = at(run[0]).sweep
    low, high = scores.kept_scores(sweep, sweep.groups()[0], evaluation)
    low.scores["factor_vae"], high.scores["factor_vae"] = 0.4, 0.6
    assert pictures.typical_run([high, low]) is low
    higher = high._replace(scores={"factor_vae": 0.7})
    assert pictures.typical_run([higher, high, low]) is high


def test_figure_9_compares_the_same_seed_at_the_largest_weight(run, evaluation):
    sweep = at(run[0]).sweep
    plain, ours = (
        scores.kept_scores(sweep, group, evaluation) for group in sweep.groups()
    )
    stronger = ours[0].group._replace(
        runs=tuple(
            run._replace(values={**run.values, "attention": 40.0})
            for run in ours[0].group.runs
        )
    )
    more = [scored._replace(group=stronger) for scored in ours]
    pair = pictures._with_and_without([*plain, *ours, *more])
    assert pair[0].run.seed == pair[1].run.seed
    assert pair[1].run.values == {"gamma": 40.0, "attention": 40.0}
    assert pictures._with_and_without(plain) is None


@pytest.mark.slow
def test_curves_and_tables_are_by_the_same_protocol(small, tmp_path, monkeypatch):
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)
    config = dataclasses.replace(
        at(tmp_path, objectives=("vae",), seeds=1), protocol="repro2021"
    )
    (row,) = dsprites.main(config)
    lines = (tmp_path / "runs" / "vae" / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["kind"] == "evaluation"
    assert last["factor_vae"] == [pytest.approx(row["factor_vae"])]
    assert np.shape(last["kl"]) == (1, 3)


def test_images_of_a_variant_have_colours(small, monkeypatch):
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)
    data, evaluation = dsprites.load(dataclasses.replace(CONFIG, variant="noisy"))
    assert data.source.endswith(", noisy")
    assert evaluation.images.source == data.source
    model = runs.build_model(CONFIG.sweep, data)
    assert model.image_shape == (64, 64, 3)


@pytest.mark.slow
def test_runs_of_a_group_are_those_of_the_same_seed_alone(
    run, small, evaluation, tmp_path
):
    """Trained side by side or one by one, up to the rounding of sums."""
    folder, _ = run
    whole, alone = at(folder).sweep, at(tmp_path, seeds=1, seed=1).sweep
    both = runs.train_group(whole, whole.groups()[0], small, evaluation)
    one = runs.train_group(alone, alone.groups()[0], small, evaluation)
    for ours, theirs in zip(
        jax.tree.leaves(both.params_of(1)),
        jax.tree.leaves(one.params_of(0)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_another_setting_in_the_same_folder_is_refused(run, small, evaluation):
    folder, _ = run
    other = at(folder, gamma=(10.0,)).sweep
    with pytest.raises(ValueError, match=r"runs\.0\.gamma: 40\.0 -> 10\.0"):
        runs.train_group(other, other.groups()[0], small, evaluation)


def test_a_factor_of_which_one_value_is_left_is_named(small, monkeypatch):
    monkeypatch.setattr(factor_images, "procedural_dsprites", lambda: small)
    config = dataclasses.replace(CONFIG, evaluation_strides=(1, 2, 2, 2, 2))
    with pytest.raises(
        ValueError, match=r"--evaluation-strides must leave two .* one of scale"
    ):
        dsprites.load(config)


def test_an_unknown_tap_is_told_before_anything_is_trained(small):
    sweep = at("nowhere", taps=("relu9",)).sweep
    with pytest.raises(ValueError, match=r"--taps: there is no 'relu9'; .* relu4"):
        runs.check(sweep, small)
    plain = at("nowhere", taps=("relu9",), objectives=("vae",)).sweep
    runs.check(plain, small)  # which explains nothing
