import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import reconstructions
from experiments.reconstruction import measures, methods, run
from vae_jax import models
from vae_jax.baselines import resnet18

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return reconstructions.Config(
        workdir=str(tmp_path_factory.mktemp("reconstructions")),
        epochs=1,
        batch_size=256,
        latents=2,
        hidden=(8,),
    )


@pytest.fixture(scope="module")
def rows(config):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "MEASURED", 20)
        return reconstructions.main(config)


@pytest.mark.slow
def test_seven_rules_are_measured_beside_the_images(rows):
    assert [row["method"] for row in rows] == [
        "the images themselves",
        "bernoulli",
        "unit variance",
        "shared variance",
        "pixel variance",
        "+ SSIM",
        "+ MS-SSIM",
        "+ perceptual, random",
    ]
    for row in rows[1:]:
        assert np.isfinite([v for k, v in row.items() if k != "method"]).all()
        assert row["psnr"] > 5


@pytest.mark.slow
def test_files_hold_the_table_and_the_page_its_pictures(rows, config):
    content = json.loads((config.folder / "results.json").read_text())
    assert content["tables"]["Sharpness and nearness"] == rows
    assert (config.folder / "report.html").read_text().count("data:image/png") == 2
    for name in ("reconstructions.png", "samples.png"):
        with Image.open(config.folder / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


@pytest.fixture(scope="module")
def bernoulli():
    look = methods.Look("none", lambda x, y: jnp.zeros(len(x)))
    rules = methods.make_methods(SHAPE, hidden=(4,), latents=2, look=look)
    assert [*rules][-1] == "+ none"
    assert not rules["+ none"].loops
    return rules["bernoulli"]


def test_a_decoder_that_always_draws_gray_is_measured_as_flat(bernoulli):
    params = models.init(bernoulli.model, key=jax.random.key(0))["params"]
    params["decoder"]["pixels"] = jax.tree.map(
        jnp.zeros_like, params["decoder"]["pixels"]
    )
    images = jnp.zeros((3, *SHAPE)).at[:, 10:18, 10:18].set(1.0)
    figures, drawn, samples = measures.measure(
        bernoulli, {"params": params}, images, noise=jnp.zeros((3, 2))
    )
    np.testing.assert_array_equal(drawn, 0.5)
    np.testing.assert_array_equal(samples, 0.5)
    assert figures["sharpness"] == figures["sample_sharpness"] == 0
    assert figures["psnr"] == pytest.approx(10 * np.log10(4), abs=1e-4)


def test_verdicts_name_the_blurriest_and_the_nearest():
    rows = [{"method": "the images themselves", "sharpness": 1.0}]
    for name, sharpness, psnr, ssim in (("a", 0.2, 20.0, 0.7), ("b", 1.3, 18.0, 0.9)):
        row = {"method": name, "sharpness": sharpness, "psnr": psnr, "ssim": ssim}
        rows.append(row)
    blur, nearness = run.verdicts(rows)
    assert "by a, reconstructions keep 20%" in blur
    assert "by b, 130%" in blur
    assert "squared error is a (20.0 dB)" in nearness
    assert "structure b (SSIM 0.900)" in nearness


def test_seeds_are_averaged():
    found = measures.over_seeds([{"sharpness": 0.5}, {"sharpness": 0.7}])
    assert found["sharpness"] == pytest.approx(0.6)
    assert found["sharpness_std"] == pytest.approx(0.1 * 2**0.5)


def test_features_are_named_by_their_weights(tmp_path):
    file = tmp_path / "weights.npz"
    np.savez(file, **resnet18.random_weights(seed=0))
    random = methods.make_look(SHAPE, None, stages=0, seed=0)
    given = methods.make_look(SHAPE, file, stages=0, seed=1)
    assert (random.name, given.name) == ("perceptual, random", "perceptual")
    x, y = jnp.zeros((2, *SHAPE)), jnp.ones((2, *SHAPE))
    np.testing.assert_array_equal(given.distance(x, y), random.distance(x, y))
    np.testing.assert_array_equal(random.distance(x, x), 0)


def test_features_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"images must be square, got 28x14"):
        methods.make_look((28, 14, 1), None, stages=0, seed=0)
    with pytest.raises(ValueError, match=r"--stages must be from 0 to 4, got 5"):
        methods.make_look(SHAPE, None, stages=5, seed=0)
    file = tmp_path / "other.npz"
    np.savez(file, weights=np.zeros(3))
    with pytest.raises(ValueError, match="state dict of torchvision's resnet18"):
        methods.make_look(SHAPE, file, stages=0, seed=0)
