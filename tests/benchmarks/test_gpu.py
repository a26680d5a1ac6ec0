"""The run for whoever has a GPU for a quarter of an hour."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
NAMES = [
    *(
        f"training {network} {dtype}"
        for network in ("mnist", "locatello", "resnet18")
        for dtype in ("float32", "bfloat16")
    ),
    "maps float32",
    "maps bfloat16",
    "runs vae",
    "runs factor_vae",
    "search",
    "sweep",
]


def test_the_sections_and_the_time_that_they_need():
    from benchmarks import gpu

    sections = gpu.sections(gpu.FULL, workdir=None)
    assert [section.name for section in sections] == NAMES
    # Each is begun, should those before it take no longer than they need to begin.
    assert sum(section.needs for section in sections[:-3]) <= 9 * 60 - gpu.SAVING
    assert all(section.needs > 0 for section in sections)


def test_tiny_has_every_kind_of_section():
    from benchmarks import gpu

    tiny = [section.name for section in gpu.sections(gpu.TINY, workdir=None)]
    assert tiny == [name for name in NAMES if "float32" not in name]


def test_the_sweep_is_that_of_the_experiment():
    from benchmarks import gpu
    from experiments.dsprites import PRESETS

    found, preset = gpu.FULL.sweep, PRESETS["kim"]
    assert dataclasses.replace(found.sweep, seeds=10) == preset.sweep
    assert found.sweep.seeds == 8
    assert dataclasses.replace(found, sweep=preset.sweep) == preset


@pytest.fixture
def fake_sections(monkeypatch):
    """Two sections of which the second fails, and a third for which none has time."""
    from benchmarks import budget, gpu

    given = {}

    def no_memory():
        raise MemoryError("of 80 GiB")

    def sections(sizes, *, workdir):
        given.update(sizes=sizes, workdir=workdir)
        return [
            budget.Section("a", lambda: {"seconds": {"median": 0.123456}}, 1),
            budget.Section("b", no_memory, 1),
            budget.Section("c", dict, 10_000),
        ]

    monkeypatch.setattr(gpu, "sections", sections)
    return given


def test_one_line_and_a_file_of_what_was_measured(
    run_stand_ins, fake_sections, tmp_path
):
    from benchmarks import gpu

    out = tmp_path / "gpu.json"
    record = run_stand_ins("gpu", "--out", str(out), "--workdir", "kim")
    assert fake_sections == {"sizes": gpu.FULL, "workdir": "kim"}
    assert json.loads(out.read_text()) == record
    assert [file.name for file in tmp_path.iterdir()] == ["gpu.json"]
    assert (record["tiny"], record["minutes"]) == (False, 9.0)
    assert {"flax", "optax", "orbax-checkpoint"} <= set(record["versions"])
    (a,) = record["sections"].values()
    assert (a["seconds"], a["peak_bytes"]) == ({"median": 0.1235}, None)
    assert a["took_seconds"] >= 0
    assert record["failed"]["b"]["reason"] == "MemoryError: of 80 GiB"
    assert record["left_out"] == ["c"]


def test_the_time_is_kept_less_what_saving_takes(run_stand_ins, fake_sections):
    record = run_stand_ins("gpu", "--minutes", "0.3")
    assert record["left_out"] == ["a", "b", "c"]


def test_a_tiny_sweep_leaves_nothing_behind(run_stand_ins, fake_sections):
    from benchmarks import gpu

    run_stand_ins("gpu", "--tiny")
    assert fake_sections["sizes"] == gpu.TINY
    assert not Path(fake_sections["workdir"]).exists()


def test_a_folder_that_is_not_there_is_complained_of_before_all(
    run_stand_ins, fake_sections, tmp_path
):
    with pytest.raises(FileNotFoundError):
        run_stand_ins("gpu", "--out", str(tmp_path / "none" / "gpu.json"))
    assert fake_sections == {}


def take_seconds(monkeypatch, seconds):
    from benchmarks import timing

    def by_turns(functions, *, repeats):
        assert set(functions) == set(seconds)
        return {name: repeats * [seconds[name]] for name in functions}

    monkeypatch.setattr(timing, "by_turns", by_turns)


def test_an_update_is_one_of_many_calls(monkeypatch):
    from benchmarks import gpu_sections, train_step

    def our_step(model, images, *, calls):
        assert (images.shape, calls) == ((8, 28, 28, 1), 4)
        return train_step.OurStep(lambda: None, 3e9, 11, 1.0, 5)

    monkeypatch.setattr(train_step, "our_step", our_step)
    take_seconds(monkeypatch, {"calls": 2.0})
    options = {"image_size": 28, "batch_size": 8, "calls": 4, "repeats": 3}
    found = gpu_sections.training("mnist", dtype="float32", **options)
    assert found["seconds"]["median"] == 0.5
    assert found["images_per_second"]["median"] == 16
    assert found["achieved"]["tflops"]["median"] == pytest.approx(3e9 / 0.5 / 1e12)
    assert (found["program_bytes"], found["parameters"]) == (11, 5)


def test_many_runs_are_compared_by_the_steps_of_one(monkeypatch):
    from benchmarks import dsprites, gpu_sections

    def our_steps(images, discriminator, *, runs, steps, batch_size):
        assert images.grid.sizes == (3, 2, 2, 2, 2)
        assert (discriminator.width, steps, batch_size) == (10, 100, 2)
        return (lambda: None), 1.0, {}

    monkeypatch.setattr(dsprites, "our_steps", our_steps)
    take_seconds(monkeypatch, {"1": 0.5, "8": 1.0})
    found = gpu_sections.many_runs(
        "factor_vae",
        runs=(1, 8),
        strides=(1, 3, 20, 16, 16),
        batch_size=2,
        width=10,
        steps=100,
        repeats=2,
    )
    rates = {n: rate["median"] for n, rate in found["run_steps_per_second"].items()}
    assert rates == pytest.approx({"1": 200, "8": 800})
    over = {n: ratio["median"] for n, ratio in found["over_1"].items()}
    assert over == pytest.approx({"1": 1, "8": 4})


def test_the_first_sections_need_no_package_of_data_or_flags():
    """Nor does training of the sweep; a machine that was lent has what jax needs."""
    command = """
import sys
blocked = ("grain", "tensorflow_datasets", "tyro", "matplotlib", "sklearn")
for name in blocked:
    sys.modules[name] = None
from benchmarks import gpu, gpu_sweep
"""
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True)


@pytest.fixture
def sweep(tmp_path):
    from benchmarks import gpu

    tiny = gpu.TINY.sweep
    changed = dataclasses.replace(
        tiny.sweep, workdir=str(tmp_path), steps=100, evaluations=2
    )
    return dataclasses.replace(tiny, sweep=changed)


def test_how_far_a_group_is_and_how_fast_it_went_on(sweep):
    from benchmarks import gpu_sweep
    from experiments.disentanglement.runs import group_folder

    (group,) = sweep.sweep.groups()
    assert gpu_sweep.steps_made(sweep.sweep, group) == 0
    assert gpu_sweep.summary(sweep.sweep, group, start=0) == {"runs": 2, "step": 0}
    folder = group_folder(sweep.sweep, group)
    for step in ("50", "100", "100.orbax-checkpoint-tmp"):
        (folder / "checkpoints" / step).mkdir(parents=True)
    figures = {"factor_vae": [0.2, 0.4], "distortion": [9.0, 11.0], "rate": [1.0, 1.0]}
    lines = [
        {"step": 50, "kind": "train", "examples_per_second": 999.0},
        {"step": 50, "kind": "evaluation", **figures, "rate": [0.0, 0.0]},
        {"step": 100, "kind": "train", "examples_per_second": 6.0},
        {"step": 100, "kind": "evaluation", **figures},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    found = gpu_sweep.summary(sweep.sweep, group, start=50)
    assert found["step"] == 100
    # Batches of two images.
    assert found["run_steps_per_second"] == dict.fromkeys(("p10", "median", "p90"), 3.0)
    means = {"factor_vae": 0.3, "distortion": 10.0, "rate": 1.0}
    assert found["evaluation"] == {"step": 100, **means} | {
        "factor_vae": pytest.approx(0.3)
    }


@pytest.mark.slow
def test_a_sweep_that_is_stopped_goes_on(sweep, monkeypatch):
    from benchmarks import gpu, gpu_sweep
    from experiments.disentanglement import runs

    figures, sent = runs.brief_figures, []

    def out_of_time(*arguments):
        if not sent:  # a second one ends the process
            os.kill(os.getpid(), signal.SIGTERM)
        sent.append(signal.SIGTERM)
        return figures(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(runs, "brief_figures", out_of_time)
        first = gpu_sweep.go_on(sweep, strides=gpu.TINY.strides)
    assert first["stopped"]
    assert first["groups"]["vae"]["step"] == 51  # the one under way is made
    then = gpu_sweep.go_on(sweep, strides=gpu.TINY.strides)
    assert not then["stopped"]
    assert then["groups"]["vae"]["step"] == 100
    assert then["groups"]["vae"]["evaluation"]["step"] == 100


@pytest.mark.slow
def test_all_of_it_at_tiny_sizes(run, assert_spreads):
    record, complaints = run("gpu", "--tiny", "--minutes", "60")
    assert record["failed"] == {}, complaints
    assert record["left_out"] == []
    sections = record["sections"]
    assert list(sections) == [name for name in NAMES if "float32" not in name]
    parameters = {"mnist": 13_216_193, "locatello": 690_517, "resnet18": 39_047_043}
    for network, number in parameters.items():
        found = sections[f"training {network} bfloat16"]
        assert found["parameters"] == number
        assert 0 < found["compile_seconds"] < found["took_seconds"]
        assert found["achieved"]["flops"] > 0
        assert found["program_bytes"] > 4 * 3 * number  # with Adam's two moments
        tflops = found["achieved"]["tflops"]
        assert_spreads({"a": found["seconds"], "b": tflops}, {"a", "b"})
    ways = {"forward", "maps_relu2", "maps_conv2", "loop_relu2", "score_conv2"}
    assert_spreads(sections["maps bfloat16"]["seconds"], ways)
    for kind in ("vae", "factor_vae"):
        found = sections[f"runs {kind}"]
        assert_spreads(found["run_steps_per_second"], {"2"})
        assert_spreads(found["over_2"], {"2"})
    assert_spreads({"a": sections["search"]["seconds"]}, {"a"})
    (vae,) = sections["sweep"]["groups"].values()
    assert (vae["runs"], vae["step"]) == (2, 50)
    assert np.isfinite(vae["evaluation"]["distortion"])
