"""The README's Python, run as it is printed."""

import math
import re
from pathlib import Path

import jax

README = Path(__file__).parents[1] / "README.md"


def run_block(word: str) -> dict:
    """Runs the one Python block that contains `word`; returns what it defined."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    names: dict = {}
    exec(block, names)
    return names


def test_the_plain_loop_learns_what_the_latents_are_for():
    names = run_block("optax")
    # Without latents the best model pays for 64 pixels of probability 1/8; with them
    # no model pays less than the entropy of the eight images.
    without_latents = 8 * (8 * math.log(8) - 7 * math.log(7))
    keys = jax.random.split(jax.random.key(1), 100)
    found = jax.vmap(names["loss_fn"], in_axes=(None, 0))(names["params"], keys).mean()
    assert math.log(8) < found < 0.7 * without_latents


def test_the_attention_example_gives_the_shape_that_it_prints():
    assert run_block("attention_maps")["maps"].shape == (8, 64, 64, 64)


def test_the_detector_for_tables_finds_rows_of_another_kind():
    names = run_block("VAEAnomalyDetector")
    detector, rng = names["detector"], names["rng"]
    assert (detector.predict(names["normal"][400:]) < 0).mean() <= 0.06
    assert (detector.predict(3 * rng.normal(size=(100, 6))) < 0).mean() > 0.8


def test_the_metrics_of_the_readme_are_near_one():
    scores = run_block("disentanglement.suite")["found"].scores
    assert scores["factor_vae"] == 1
    assert 0.9 < scores["mig_binned"] <= 1
