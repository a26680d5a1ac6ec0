"""Each benchmark run small, as its README says to run it."""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = (
    "train_step",
    "attention_maps",
    "input_pipeline",
    "predict",
    "anogan",
    "autoencoder",
    "dsprites",
    "disentanglement_metrics",
)
HAS_TORCH = importlib.util.find_spec("torch") is not None
SPREAD = ["p10", "median", "p90"]


@pytest.fixture
def benchmarks_on_path(monkeypatch):
    """The benchmarks are no part of the distribution: they import from the root."""
    monkeypatch.syspath_prepend(ROOT)


def run(script: str, *flags: str) -> tuple[dict, str]:
    """The one line that the script prints, read, and its complaints."""
    finished = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{script}", "--repeats", "1", *flags],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": ""},  # one device, as a user has it
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    (line,) = finished.stdout.splitlines()
    record = json.loads(line)
    assert record["benchmark"] == script
    assert {"jax", "jaxlib", "python"} <= set(record["versions"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["date"])
    assert record["device"].startswith("cpu: ")
    assert re.search(r", \d+ cores$", record["machine"])
    return record, finished.stderr


def assert_spreads(spreads: dict, names: set[str]) -> None:
    assert set(spreads) == names
    for spread in spreads.values():
        assert list(spread) == SPREAD
        assert 0 < spread["p10"] <= spread["median"] <= spread["p90"]


def assert_torch(record: dict, complaints: str) -> None:
    """PyTorch's part is there, or its absence is said, not on standard output."""
    assert ("torch" in record["versions"]) == HAS_TORCH
    assert ("PyTorch is not installed" in complaints) != HAS_TORCH
    if HAS_TORCH:
        assert record["torch"]["mode"] == "eager, NCHW"
        assert record["torch"]["float32_matmul_precision"] == "highest"
        cores = int(record["machine"].split(", ")[1].removesuffix(" cores"))
        assert record["torch"]["threads"] == cores


@pytest.mark.parametrize(
    ("in_loop", "expected"), [(False, "ab ab ab"), (True, "ab aabb aabb")]
)
def test_turns(benchmarks_on_path, in_loop, expected):
    from benchmarks import timing

    calls = []
    functions = {name: functools.partial(calls.append, name) for name in "ab"}
    seconds = timing.by_turns(functions, repeats=2, in_loop=in_loop)
    assert "".join(calls) == expected.replace(" ", "")
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_train_step():
    record, complaints = run("train_step", "--model", "mnist", "--batch-size", "2")
    assert record["parameters"] == 13_216_193
    assert record["compile_seconds"] > 0
    assert_spreads(record["seconds"], {"ours"} | ({"torch"} if HAS_TORCH else set()))
    assert ("torch_over_ours" in record) == HAS_TORCH
    assert_torch(record, complaints)


def test_attention_maps():
    record, complaints = run("attention_maps", "--batch-size", "2")
    ours = {"forward", "maps_relu2", "maps_conv2", "loop_relu2", "score_conv2"}
    theirs = {"torch_forward", "torch_loop_relu2", "torch_score_conv2"}
    assert set(record["compile_seconds"]) == ours
    assert_spreads(record["seconds"], ours | (theirs if HAS_TORCH else set()))
    ratios = {"maps_relu2_over_forward", "maps_conv2_over_forward"}
    ratios |= {"loop_relu2_over_maps_relu2", "loop_relu2_over_maps_conv2"}
    if HAS_TORCH:
        ratios |= {"torch_loop_relu2_over_maps_relu2", "torch_forward_over_forward"}
        ratios |= {"torch_loop_relu2_over_maps_conv2"}
        ratios |= {"torch_score_conv2_over_score_conv2"}
    assert_spreads(record["ratios"], ratios)
    assert_torch(record, complaints)


def test_input_pipeline():
    record, _ = run("input_pipeline", "--batches", "1", "--images", "20")
    assert (record["image_size"], record["batch_size"], record["width"]) == (64, 16, 16)
    assert record["compile_seconds"] > 0
    assert_spreads(record["images_per_second"], {"pipeline", "training"})
    assert_spreads({"ratio": record["pipeline_over_training"]}, {"ratio"})


def test_predict():
    small = ("--images", "3", "--side", "64", "--image-size", "32", "--batch-size", "2")
    record, complaints = run("predict", *small)
    assert record["compile_seconds"] > 0
    timed = {"ours", "ours_map"} | ({"torch", "torch_map"} if HAS_TORCH else set())
    assert_spreads(record["images_per_second"], timed)
    ratios = ("torch_over_ours", "torch_map_over_ours_map")
    assert all((ratio in record) == HAS_TORCH for ratio in ratios)
    assert_torch(record, complaints)


def test_anogan():
    size = ("--image-size", "16", "--width", "4", "--batch-size", "2", "--steps", "2")
    record, complaints = run("anogan", *size)
    theirs = {"torch", "torch_one_by_one"} if HAS_TORCH else set()
    assert_spreads(record["seconds"], {"ours"} | theirs)
    assert_spreads(record["ratios"], {f"{name}_over_ours" for name in theirs})
    # The networks are the same, and so is the search.
    assert set(record["largest_difference"]) == theirs
    assert max(record["largest_difference"].values(), default=0) < 1e-4
    assert_torch(record, complaints)


def test_autoencoder():
    flags = ("--kind", "object", "--loss", "ssim", "--batch-size", "1")
    record, complaints = run("autoencoder", *flags)
    assert record["compile_seconds"] > 0
    tasks = {"train", "maps"}
    timed = {f"ours_{task}" for task in tasks}
    theirs = {f"torch_{task}" for task in tasks} if HAS_TORCH else set()
    assert_spreads(record["seconds"], timed | theirs)
    if HAS_TORCH:
        assert_spreads(record["torch_over_ours"], tasks)
        # The networks are the same, and so are the errors.
        assert record["largest_map_value"] > 0.1
        assert record["largest_map_difference"] < 1e-4
    assert_torch(record, complaints)


def test_dsprites():
    flags = ("--runs", "1", "2", "--batch-size", "2", "--discriminator-width", "10")
    record, complaints = run("dsprites", *flags)
    kinds = ("vae", "factor_vae")
    ours = {f"{kind}_{runs}" for kind in kinds for runs in (1, 2)}
    assert set(record["compile_seconds"]) == ours
    theirs = {f"torch_{kind}" for kind in kinds} if HAS_TORCH else set()
    assert_spreads(record["seconds"], ours | theirs)
    assert_spreads(record["run_steps_per_second"], ours | theirs)
    assert ("torch_over_ours" in record) == HAS_TORCH
    if HAS_TORCH:
        assert_spreads(record["torch_over_ours"], ours)
    assert record["parameters"]["vae"] == 690_517
    assert_torch(record, complaints)


def test_disentanglement_metrics():
    record, _ = run("disentanglement_metrics", "--sizes", "3", "2", "4", "4", "4")
    assert record["examples"] == 384
    timed = set(record["seconds"])
    assert {"factor_vae", "mig_density", "sap", "dci_logistic", "total"} <= timed
    assert_spreads(record["seconds"], timed)
    assert set(record["first_seconds"]) == timed
    assert "trees_seconds" not in record


def test_the_ways_to_the_maps_that_are_compared_give_the_same_maps(benchmarks_on_path):
    import jax.numpy as jnp

    from benchmarks import attention_maps
    from vae_jax.models import mnist_vae

    images = np.random.default_rng(0).random((2, 28, 28, 1), dtype=np.float32)
    ways, _ = attention_maps.our_ways(mnist_vae(), jnp.asarray(images))
    one_by_one = np.stack(ways["loop_relu2"](), axis=1)
    assert one_by_one.max() > 0
    np.testing.assert_allclose(ways["maps_relu2"](), one_by_one, rtol=1e-4, atol=1e-8)


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
@pytest.mark.parametrize("backend", ["gpu", "tpu"])
def test_a_device_that_pytorch_lacks_is_one_line(
    benchmarks_on_path, monkeypatch, backend
):
    import jax
    import torch

    from benchmarks import torch_device

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=rf"^error: JAX computes on a {backend}, .*$"):
        torch_device.match_jax()


def test_a_ratio_is_taken_turn_by_turn(benchmarks_on_path):
    from benchmarks import timing

    # Load that doubles both calls of a turn leaves no trace in the ratio.
    assert timing.ratio([2.0, 4.0, 2.0], [1.0, 2.0, 1.0]) == dict.fromkeys(SPREAD, 2.0)


def test_the_readme_names_every_script_and_only_flags_that_exist():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    commands = re.findall(r"`python -m benchmarks\.(\w+)(.*?)`", text)
    assert {script for script, _ in commands} == set(SCRIPTS)
    for script, flags in commands:
        source = (ROOT / "benchmarks" / f"{script}.py").read_text()
        assert all(f'"{flag}"' in source for flag in re.findall(r"--[\w-]+", flags))


def test_the_spread_of_eleven_equally_spaced_times(benchmarks_on_path):
    from benchmarks import timing

    times = [float(i) for i in range(11)]
    assert timing.spread(times) == {"p10": 1.0, "median": 5.0, "p90": 9.0}
