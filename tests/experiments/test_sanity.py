import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from experiments import mvtec, sanity
from experiments.localisation import checks
from experiments.localisation.prepare import prepare
from vae_jax.data import synthetic
from vae_jax.data.augment import NONE
from vae_jax.data.category import CategoryData, TestImages
from vae_jax.detection.methods import DEFAULT_METHOD


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sanity")


@pytest.fixture(scope="module")
def rows(folder):
    data = synthetic.write_synthetic(folder / "data", image_size=48, train=12, test=16)
    settings = dataclasses.replace(
        mvtec.QUICK,
        workdir=str(folder / "run"),
        image_size=32,
        width=4,
        latents=4,
        epochs=6,
        batch_size=8,
        evaluations=2,
        methods=("residual", "local-contrast"),
    )
    config = mvtec.Config(
        data_dir=str(data),
        category=("synthetic_gear",),
        channels=1,  # as in test_mvtec: what one compiles serves the other
        cache_dir=str(folder / "cache"),
        settings=settings,
    )
    return {row["method"]: row for row in sanity.main(config)}


def test_each_method_has_a_row_and_so_has_the_random_order(rows, folder):
    names = [DEFAULT_METHOD, "residual", "local-contrast", checks.RANDOM]
    assert list(rows) == names
    written = json.loads((folder / "run" / "sanity.json").read_text())
    assert written["rows"] == list(rows.values())
    assert rows[checks.RANDOM]["correlation"] is None


def test_what_asks_no_network_never_forgets_and_what_does_does(rows):
    floor, ours = rows["local-contrast"], rows["residual"]
    np.testing.assert_allclose(floor["correlation_by_layer"], 1.0)
    assert ours["correlation"] == ours["correlation_by_layer"][-1] < 0.9
    assert len(ours["layers"]) == len(ours["correlation_by_layer"]) > 10
    # The last layer applied is the first forgotten.
    assert ours["layers"][0].startswith("decoder")
    assert ours["layers"][-1] == "encoder/convolution1"


def test_the_residual_knows_more_of_the_elbo_than_a_random_order(rows):
    ours, random = rows["residual"], rows[checks.RANDOM]
    assert ours["deletion"] < random["deletion"]
    assert ours["insertion"] > random["insertion"]


def test_the_picture_is_drawn(rows, folder):
    with Image.open(folder / "run" / "synthetic_gear" / "sanity.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


def test_images_with_defects_are_spread_over_the_kinds_or_made():
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8)
    defects = ("good",) * 8 + ("a",) * 16 + ("b",) * 16
    masks = np.zeros((40, 16, 16), bool)
    data = CategoryData(
        category="c",
        train=images,
        validation=images[:2],
        test=TestImages(images, masks, defects, defects, []),
        channels=1,
        sha256="",
        at_size=NotImplemented,
    )
    chosen = checks._defective(prepare(mvtec.QUICK, data, NONE))
    np.testing.assert_array_equal(chosen[[0, -1]], images[[8, 39]])
    assert len(chosen) == checks.IMAGES
    none = TestImages(images[:0], masks[:0], (), (), [])
    made = checks._defective(
        prepare(mvtec.QUICK, dataclasses.replace(data, test=none), NONE)
    )
    assert 0 < len(made) <= checks.IMAGES
    assert not any((image == images[:2]).all((1, 2, 3)).any() for image in made)
