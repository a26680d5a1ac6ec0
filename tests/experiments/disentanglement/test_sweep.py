import dataclasses

import pytest

from experiments import dsprites
from experiments.disentanglement.sweep import SWEPT, Sweep, run_name

SWEEP = Sweep(
    workdir="here",
    objectives=("vae", "factor-vae", "ad-factor-vae"),
    network="locatello",
    latents=10,
    steps=10,
    seeds=3,
    seed=5,
    learning_rate=1e-4,
    batch_size=64,
    gamma=(10.0, 40.0),
    attention=(1.0, 20.0),
    taps=("relu1", "relu4"),
)


def test_a_group_is_what_one_program_can_train():
    groups = SWEEP.groups()
    assert [group.name for group in groups] == [
        "vae",
        "factor-vae",
        "ad-factor-vae relu1",
        "ad-factor-vae relu4",
    ]
    # Seeds, times the weights that the objective knows.
    assert [len(group.runs) for group in groups] == [3, 3 * 2, 3 * 2 * 2, 3 * 2 * 2]


def test_runs_are_all_combinations_of_seeds_and_values():
    runs = SWEEP.groups()[2].runs
    assert {run.seed for run in runs} == {5, 6, 7}
    combinations = {(run.seed, *run.values.items()) for run in runs}
    assert len(combinations) == len(runs)
    assert (6, ("gamma", 40.0), ("attention", 20.0)) in combinations


def test_an_objective_named_twice_is_trained_once():
    twice = dataclasses.replace(SWEEP, objectives=("vae", "vae"))
    assert len(twice.groups()) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"objectives": ("gan",)}, r"--objectives: there is no 'gan'; known: vae,"),
        ({"objectives": ()}, "--objectives: name at least one"),
        ({"seeds": 0}, "--seeds must be at least 1, got 0"),
        ({"steps": 0}, "--steps must be at least 1, got 0"),
        ({"gamma": ()}, r"--gamma must be one or more numbers from 0, got \(\)"),
        ({"attention": (-1.0,)}, "--attention must be one or more numbers from 0"),
        ({"learning_rate": 0.0}, "--learning-rate must be positive, got 0.0"),
        (
            {"batch_size": 7, "second_batch": "half"},
            "--batch-size must be even for --second-batch half, got 7",
        ),
        ({"seed": -1}, r"--seed must be at least 0, .* got -1"),
        ({"seed": 2**31}, r"--seed must .* --seeds 3 at most 2147483644, got 2147"),
        ({"taps": ()}, "--taps: ad- objectives want at least one"),
        ({"latents": 1}, r"--latents must be at least 2, .* got 1"),
        ({"latents": 1, "objectives": ("vae",)}, "--latents must be at least 2"),
        (
            {"objectives": ("beta-tcvae",), "batch_size": 1},
            "--batch-size must be at least 2 for beta-tcvae, .* got 1",
        ),
    ],
)
def test_what_cannot_be_is_one_line(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(SWEEP, **changes)


@pytest.mark.parametrize("name", dsprites.PRESETS)
def test_presets_name_themselves_and_only_objectives_that_are_there(name):
    preset = dsprites.PRESETS[name]
    assert preset.preset == name
    known = {*SWEPT, *(f"ad-{objective}" for objective in SWEPT)}
    assert set(preset.sweep.objectives) <= known


def test_the_study_is_that_of_locatello_et_al():
    """Six objectives at six weights each."""
    groups = dsprites.PRESETS["locatello"].sweep.groups()
    seeds = dsprites.PRESETS["locatello"].sweep.seeds
    assert sum(len(group.runs) for group in groups) == 6 * 6 * seeds


def test_strides_of_the_evaluated_grid_are_at_least_one():
    with pytest.raises(
        ValueError, match="--evaluation-strides must be at least 1 each"
    ):
        dsprites.Config(evaluation_strides=(1, 1, 0, 1, 1))


@pytest.mark.parametrize("nats", [-1.0, float("nan"), float("inf")])
def test_the_threshold_of_collapse_is_a_number_from_zero(nats):
    with pytest.raises(ValueError, match="--collapse-nats must be a number from 0"):
        dsprites.Config(collapse_nats=nats)


def test_presets_have_the_published_numbers():
    presets = {name: preset.sweep for name, preset in dsprites.PRESETS.items()}
    for name in ("locatello", "burgess", "kim", "repro_ad"):
        assert (presets[name].steps, presets[name].batch_size) == (300_000, 64)
        assert presets[name].discriminator_width == 1000
        assert presets[name].gamma[-1] in (40.0, 100.0)
    assert [presets[n].learning_rate for n in ("locatello", "kim")] == [1e-4, 1e-4]
    assert presets["burgess"].learning_rate == 5e-4
    assert presets["burgess"].capacity == (25.0,)
    assert presets["locatello"].beta == (1.0, 2.0, 4.0, 6.0, 8.0, 16.0)
    assert presets["locatello"].tc_beta == (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    assert presets["locatello"].annealing_steps == 100_000
    assert (presets["chen"].batch_size, presets["chen"].learning_rate) == (2048, 1e-3)
    repro = presets["repro_ad"]
    assert repro.latents == 32
    assert repro.discriminator_layers == 5
    assert repro.attention == (1 / 64, 20 / 64, 40 / 64, 80 / 64)
    assert (repro.map_rule, repro.map_size) == ("repro2021", "image")
    assert not repro.second_order


def test_a_run_is_named_by_its_values_and_seed():
    run = SWEEP.groups()[2].runs[1]
    assert run_name(run) == "gamma 10, attention 1, seed 6"
    assert run_name(SWEEP.groups()[0].runs[0]) == "seed 5"
