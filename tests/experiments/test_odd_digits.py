import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import odd_digits
from experiments.odd_one_out import run, scores, training
from vae_jax.data import image_sets


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return odd_digits.Config(
        workdir=str(tmp_path_factory.mktemp("odd")),
        epochs=2,
        batch_size=64,
        latents=2,
        hidden=8,
        training_images=200,
        held_out=100,
        normals=40,
        odds=20,
        samples=2,
    )


@pytest.fixture(scope="module")
def rows(config):
    return odd_digits.main(config)


def test_every_score_is_judged_by_every_digit(rows):
    assert [row["score"] for row in rows] == [*scores.KINDS]
    for row in rows:
        aurocs = [row[str(digit)] for digit in range(10)]
        assert all(0 <= auroc <= 1 for auroc in aurocs)
        assert row["mean"] == pytest.approx(np.mean(aurocs))
        assert row["worst"] == min(aurocs)


def test_a_one_has_the_least_ink_and_the_nearest_neighbour_finds_it(rows):
    by_score = {row["score"]: row for row in rows}
    assert by_score["length"]["1"] < 0.3
    assert by_score["nearest-neighbour"]["mean"] > 0.85


def test_files_hold_the_table_and_the_page_its_pictures(rows, config):
    content = json.loads((config.folder / "results.json").read_text())
    assert content["runs"][0]["seed"] == 0
    assert len(content["verdicts"]) == 3
    page = (config.folder / "report.html").read_text()
    assert page.count("data:image/png") == 2
    for name in ("aurocs.png", "strangers.png"):
        with Image.open(config.folder / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5


def test_the_first_images_that_are_normal_are_trained_on_in_their_order():
    images = jnp.arange(8.0)
    labels = jnp.array([3, 1, 3, 0, 2, 3, 0, 1])
    found = training.normals_first(images, labels, odd=jnp.asarray(3.0), count=4)
    np.testing.assert_array_equal(found, [1, 3, 4, 6])


def test_of_150_candidates_100_are_normal_with_near_certainty():
    """Of classes of a fifth at most: a binomial of mean 120, deviation 4.9."""
    labels = np.random.default_rng(0).integers(0, 5, (1000, 150))
    assert ((labels != 2).sum(1) >= 100).all()
    assert training.SPARE == 1.5


def test_a_sample_has_the_first_of_both_kinds():
    images = image_sets.load()
    found = scores.sample(images, 7, normals=5, odds=3)
    np.testing.assert_array_equal(found.is_odd, [False] * 5 + [True] * 3)
    first = np.flatnonzero(images.test_labels == 7)[:3]
    np.testing.assert_array_equal(found.images[5:], images.test_images[first])


def test_the_entropy_of_gray_values_known_answers():
    gray = np.zeros((2, 3, 3, 1), np.uint8)
    gray[1, 0, 0] = 51  # 0.2
    expected = [0, -0.2 * np.log(0.2) - 0.8 * np.log(0.8)]
    np.testing.assert_allclose(scores.gray_entropy(gray), expected)
    np.testing.assert_allclose(scores.ink(gray), [0, 0.2])


def test_more_images_than_there_are_are_refused(config):
    images = image_sets.load()
    with pytest.raises(ValueError, match=r"has 1197 training images, got 1300 in all"):
        run.split(
            images, odd_digits.Config(training_images=1000, held_out=300, workdir="x")
        )


def test_seeds_are_averaged():
    rows = [
        {"score": name, "kind": kind, "seed": seed, "mean": mean, "4": mean}
        for name, kind in scores.KINDS.items()
        for seed, mean in ((0, 0.5), (1, 0.7))
    ]
    found = scores.over_seeds(rows)[0]
    assert found["mean"] == found["4"] == found["worst"] == pytest.approx(0.6)
    assert found["mean_std"] == pytest.approx(0.1 * 2**0.5)
