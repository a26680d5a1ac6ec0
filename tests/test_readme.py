"""The README's Python, run as it is printed."""

import math
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from PIL import Image

README = Path(__file__).parents[1] / "README.md"
LINES = 15
"""Of an example at most, blank ones apart; of the loop of losses, which has none of
the library to lean on, more."""


def blocks_of(section: str) -> list[str]:
    """The Python blocks below a heading, in their order."""
    (text,) = re.findall(
        rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", README.read_text(), re.M | re.S
    )
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run(section: str, *, only: str = "") -> dict:
    """Runs the blocks of a section, or the one with a word, and returns the names."""
    names: dict = {}
    for block in blocks_of(section):
        if only in block:
            exec(block, names)
    assert names, "no block has that word"
    return names


def test_examples_are_short():
    for section in (
        "Inspect your own images",
        "Train with an objective",
        "Disentangle",
    ):
        for block in blocks_of(section):
            assert len([line for line in block.splitlines() if line.strip()]) <= LINES


def test_a_detector_of_an_array_marks_holes_and_a_folder_goes_through_its_file(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    fitting, inspecting = blocks_of("Inspect your own images")[:2]
    names: dict = {}
    exec(fitting, names)
    said = capsys.readouterr()
    assert said.err == ""  # progress=False
    assert said.out.split("]")[0].split() == ["[", "True", "True", "True"] + 7 * [
        "False"
    ]
    places = names["maps"].reshape(10, -1).argmax(1)
    assert all(8 <= place // 32 < 20 and 8 <= place % 32 < 20 for place in places[:3])
    (tmp_path / "incoming").mkdir()
    for number, part in enumerate(names["parts"]):
        Image.fromarray(part[..., 0]).save(tmp_path / "incoming" / f"{number}.png")
    (tmp_path / "incoming" / "broken.png").write_text("no image")
    exec(inspecting, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "0.png",
        "1.png",
        "2.png",
        "broken.png",
    ]


def test_the_detector_for_tables_finds_rows_of_another_kind():
    names = run("Inspect your own images", only="VAEAnomalyDetector")
    detector, rng = names["detector"], names["rng"]
    assert (detector.predict(names["normal"][400:]) < 0).mean() <= 0.06
    assert (detector.predict(3 * rng.normal(size=(100, 6))) < 0).mean() > 0.8


def test_the_metrics_are_near_one():
    scores = run("Disentangle")["found"].scores
    assert scores["factor_vae"] == 1
    assert 0.9 < scores["mig_binned"] <= 1


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("small_vae", (8, 64, 64, 64)),
        ("nnx.split", (4, 10, 28, 28)),
        ("eqx.partition", (4, 10, 28, 28)),
    ],
)
def test_maps_have_the_shape_that_is_printed(word, shape):
    assert run("Explain your own encoder", only=word)["maps"].shape == shape


def test_objectives_train_a_network_of_one_s_own_and_so_does_the_loss_by_hand():
    names = run("Train with an objective")
    vae, train, loss_fn = names["vae"], names["train"], names["loss_fn"]
    untrained = vae_distortion(names, names["objectives"].init_params)
    for objective, term in (
        (names["objectives"].BetaVAE(), None),
        (names["objectives"].BetaTCVAE(dataset_size=8), None),
        (names["factor_vae"], None),
        (names["factor_vae"], names["objectives"].AttentionTerm(tap="relu")),
    ):
        distortion, params = train(objective, term)
        assert distortion < 0.6 * untrained
        assert set(params) == {
            "vae",
            *(["discriminator"] if hasattr(objective, "discriminator") else []),
        }
    (loss, empty), gradient = jax.value_and_grad(loss_fn, has_aux=True)(
        params["vae"], jax.random.key(2)
    )
    assert jnp.isfinite(loss)
    assert 0 <= empty <= 1
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(gradient))
    assert vae.latents == 4


def vae_distortion(names: dict, init_params) -> float:
    """Of the bars, before training: one bit a pixel, nearly."""
    vae, images = names["vae"], names["images"]
    objective = names["objectives"].BetaVAE()
    params = init_params(vae, objective, key=jax.random.key(0))
    noise = jnp.zeros((len(images), vae.latents))
    output = vae.apply({"params": params["vae"]}, images, noise=noise)
    found = names["losses"].bernoulli_log_likelihood(images, output.decoded)
    return -float(found.mean())


def test_the_plain_loop_learns_what_the_latents_are_for():
    names = run("Borrow a loss")
    # Without latents the best model pays for 64 pixels of probability 1/8; with them
    # no model pays less than the entropy of the eight images.
    without_latents = 8 * (8 * math.log(8) - 7 * math.log(7))
    keys = jax.random.split(jax.random.key(1), 100)
    found = jax.vmap(names["loss_fn"], in_axes=(None, 0))(names["params"], keys).mean()
    assert math.log(8) < found < 0.7 * without_latents
