"""Each benchmark run small, as its README says to run it.

What takes longer to compile is `slow`; a run with stand-ins for what is timed stays.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = (
    "train_step",
    "attention_maps",
    "input_pipeline",
    "predict",
    "anogan",
    "autoencoder",
    "dsprites",
    "disentanglement_metrics",
    "gpu",
)
HAS_TORCH = importlib.util.find_spec("torch") is not None
ONCE = ("--repeats", "1")
METRICS = {"factor_vae", "mig_density", "sap", "dci_logistic", "total"}


def assert_torch(record: dict, complaints: str) -> None:
    """PyTorch's part is there, or its absence is said, not on standard output."""
    assert ("torch" in record["versions"]) == HAS_TORCH
    assert ("PyTorch is not installed" in complaints) != HAS_TORCH
    if HAS_TORCH:
        assert record["torch"]["mode"] == "eager, NCHW"
        assert record["torch"]["float32_matmul_precision"] == "highest"
        cores = int(record["machine"].split(", ")[1].removesuffix(" cores"))
        assert record["torch"]["threads"] == cores


def test_train_step(run, assert_spreads):
    flags = ("--model", "mnist", "--batch-size", "2")
    record, complaints = run("train_step", *ONCE, *flags)
    assert record["parameters"] == 13_216_193
    assert record["compile_seconds"] > 0
    assert_spreads(record["seconds"], {"ours"} | ({"torch"} if HAS_TORCH else set()))
    assert ("torch_over_ours" in record) == HAS_TORCH
    # Forward, and backward to weights and to activations: two operations for each
    # parameter and image each, and more for convolutions, which use theirs many times.
    achieved = record["achieved"]
    assert achieved["flops"] > 3 * 2 * 13_216_193 * 2
    assert achieved["peak"] is achieved["of_peak"] is None
    assert_spreads({"tflops": achieved["tflops"]}, {"tflops"})
    assert_torch(record, complaints)


def test_attention_maps(run, assert_spreads):
    record, complaints = run("attention_maps", *ONCE, "--batch-size", "2")
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


def assert_input_pipeline(record, assert_spreads):
    assert (record["image_size"], record["batch_size"], record["width"]) == (64, 16, 16)
    assert record["compile_seconds"] > 0
    assert_spreads(record["images_per_second"], {"pipeline", "training"})
    assert_spreads({"ratio": record["pipeline_over_training"]}, {"ratio"})


@pytest.mark.slow
def test_input_pipeline(run, assert_spreads):
    record, _ = run("input_pipeline", *ONCE, "--batches", "1", "--images", "20")
    assert_input_pipeline(record, assert_spreads)


def test_input_pipeline_beside_a_stand_in_for_training(run_stand_ins, assert_spreads):
    def training_turn(settings, images, *, updates):
        assert images.shape == (16, 64, 64, 1)
        return (lambda: None), 1.0

    flags = (*ONCE, "--batches", "1", "--images", "20")
    record = run_stand_ins("input_pipeline", *flags, training_turn=training_turn)
    assert_input_pipeline(record, assert_spreads)


def test_predict(run, assert_spreads):
    small = ("--images", "3", "--side", "64", "--image-size", "32", "--batch-size", "2")
    record, complaints = run("predict", *ONCE, *small)
    assert record["compile_seconds"] > 0
    timed = {"ours", "ours_map"} | ({"torch", "torch_map"} if HAS_TORCH else set())
    assert_spreads(record["images_per_second"], timed)
    ratios = ("torch_over_ours", "torch_map_over_ours_map")
    assert all((ratio in record) == HAS_TORCH for ratio in ratios)
    assert_torch(record, complaints)


def test_anogan(run, assert_spreads):
    size = ("--image-size", "16", "--width", "4", "--batch-size", "2", "--steps", "2")
    record, complaints = run("anogan", *ONCE, *size)
    theirs = {"torch", "torch_one_by_one"} if HAS_TORCH else set()
    assert_spreads(record["seconds"], {"ours"} | theirs)
    assert_spreads(record["ratios"], {f"{name}_over_ours" for name in theirs})
    # The networks are the same, and so is the search.
    assert set(record["largest_difference"]) == theirs
    assert max(record["largest_difference"].values(), default=0) < 1e-4
    assert_torch(record, complaints)


@pytest.mark.slow
def test_autoencoder(run, assert_spreads):
    flags = ("--kind", "object", "--loss", "ssim", "--batch-size", "1")
    record, complaints = run("autoencoder", *ONCE, *flags)
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


def test_autoencoder_of_stand_ins(run_stand_ins, assert_spreads):
    def our_step(network, params, batch, *, loss):
        assert batch.shape == (1, 256, 256, 1)
        return (lambda: None), 1.0

    record = run_stand_ins(
        "autoencoder",
        *ONCE,
        *("--kind", "object", "--loss", "ssim", "--batch-size", "1"),
        our_step=our_step,
        our_maps=lambda network, params, *, loss, seen: lambda pixels: pixels[..., 0],
    )
    assert record["compile_seconds"] == 1
    assert_spreads(record["seconds"], {"ours_train", "ours_maps"})
    assert "torch_over_ours" not in record


RUNS = {f"{kind}_{runs}" for kind in ("vae", "factor_vae") for runs in (1, 2)}


@pytest.mark.slow
def test_dsprites(run, assert_spreads):
    flags = ("--runs", "1", "2", "--batch-size", "2", "--discriminator-width", "10")
    record, complaints = run("dsprites", *ONCE, *flags)
    assert set(record["compile_seconds"]) == RUNS
    theirs = {"torch_vae", "torch_factor_vae"} if HAS_TORCH else set()
    assert_spreads(record["seconds"], RUNS | theirs)
    assert_spreads(record["run_steps_per_second"], RUNS | theirs)
    assert ("torch_over_ours" in record) == HAS_TORCH
    if HAS_TORCH:
        assert_spreads(record["torch_over_ours"], RUNS)
    assert record["parameters"]["vae"] == 690_517
    assert_torch(record, complaints)


def test_dsprites_of_stand_ins(run_stand_ins, assert_spreads, monkeypatch):
    from benchmarks import timing

    def our_steps(images, discriminator, *, runs, steps, batch_size):
        assert (steps, batch_size) == (5, 2)
        assert discriminator is None or discriminator.width == 10
        return (lambda: None), 1.0, {"vae": 690_517}

    def by_turns(functions, *, repeats, in_loop):
        assert in_loop
        return {name: repeats * [2.0] for name in functions}

    monkeypatch.setattr(timing, "by_turns", by_turns)
    flags = ("--runs", "1", "2", "--batch-size", "2", "--discriminator-width", "10")
    record = run_stand_ins(
        "dsprites", *ONCE, "--steps", "5", *flags, our_steps=our_steps
    )
    assert set(record["compile_seconds"]) == RUNS
    assert_spreads(record["seconds"], RUNS)
    # 5 steps of each run in 2 seconds.
    rates = {n: rate["median"] for n, rate in record["run_steps_per_second"].items()}
    assert rates == {name: 2.5 * int(name[-1]) for name in RUNS}
    assert record["parameters"]["vae"] == 690_517
    assert "torch_over_ours" not in record


@pytest.mark.slow
def test_disentanglement_metrics(run, assert_spreads):
    sizes = ("--sizes", "3", "2", "4", "4", "4")
    record, _ = run("disentanglement_metrics", *ONCE, *sizes)
    assert record["examples"] == 384
    timed = set(record["seconds"])
    assert timed >= METRICS
    assert_spreads(record["seconds"], timed)
    assert set(record["first_seconds"]) == timed
    assert "trees_seconds" not in record


def test_disentanglement_metrics_of_stand_ins(run_stand_ins, assert_spreads):
    from benchmarks import disentanglement_metrics

    def stand_ins(grid, codes):
        assert codes.shape == (384, 10)
        # All are named as they are; none is called.
        return dict.fromkeys(disentanglement_ways(grid, codes), lambda: codes)

    disentanglement_ways = disentanglement_metrics.ways
    sizes = ("--sizes", "3", "2", "4", "4", "4")
    record = run_stand_ins("disentanglement_metrics", *ONCE, *sizes, ways=stand_ins)
    assert record["examples"] == 384
    timed = set(record["seconds"])
    assert timed >= METRICS
    assert_spreads(record["seconds"], timed)
    assert set(record["first_seconds"]) == timed
    assert "trees_seconds" not in record


def test_the_ways_to_the_maps_that_are_compared_give_the_same_maps():
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
def test_a_device_that_pytorch_lacks_is_one_line(monkeypatch, backend):
    import jax
    import torch

    from benchmarks import torch_device

    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=rf"^error: JAX computes on a {backend}, .*$"):
        torch_device.match_jax()


def test_the_readme_names_every_script_and_only_flags_that_exist():
    text = (ROOT / "benchmarks" / "README.md").read_text()
    commands = re.findall(r"`python -m benchmarks\.(\w+)(.*?)`", text)
    assert {script for script, _ in commands} == set(SCRIPTS)
    for script, flags in commands:
        source = (ROOT / "benchmarks" / f"{script}.py").read_text()
        assert all(f'"{flag}"' in source for flag in re.findall(r"--[\w-]+", flags))
