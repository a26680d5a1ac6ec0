"""The detector that a run leaves, and the program in the documentation that uses it."""

import dataclasses
import functools
import json
import re
import shutil
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import mvtec
from experiments.localisation.deployment import deploy, describe, thresholds_and_rates
from experiments.localisation.fit import Fit
from experiments.localisation.prepare import prepare
from vae_jax import detection, inspection, models
from vae_jax.calibration import NormalScores, from_normal_maps, usual_area, usual_level
from vae_jax.data.augment import NONE
from vae_jax.data.category import CategoryData, TestImages
from vae_jax.detection import DEFAULT_METHOD, make_maps
from vae_jax.export import load_detector

SIZE, HELD_OUT = 32, 20


def texture(count, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 200, (count, SIZE // 4, SIZE // 4, 1))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.fixture(scope="module")
def data():
    images = texture(9, seed=1)
    images[6:, 8:16, 8:16] = 255
    defects = ("good",) * 6 + ("scratch",) * 3
    test = TestImages(images, images[..., 0] == 255, defects, defects, [])
    return CategoryData(
        category="nuts",
        train=texture(8, seed=2),
        validation=texture(HELD_OUT, seed=3),
        test=test,
        channels=1,
        sha256="0" * 64,
        at_size=NotImplemented,
    )


@pytest.fixture(scope="module")
def settings(folder):
    return dataclasses.replace(
        mvtec.QUICK, workdir=str(folder.parent), image_size=SIZE, width=4, latents=4
    )


@pytest.fixture(scope="module")
def trained(settings, data):
    """A network that was not trained, but drawn; with its statistics and its maps."""
    explainer = detection.build_explainer(**settings.network_options(), channels=1)
    init = functools.partial(models.init, explainer.model)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: rng.uniform(0.0, 0.1, leaf.shape).astype(np.float32),
        jax.eval_shape(init, key=jax.random.key(0)),
    )
    evidence = detection.gather_evidence(explainer, variables, data.train)
    maps = make_maps((DEFAULT_METHOD, "residual"), explainer, evidence, data.validation)
    return explainer, evidence, maps[DEFAULT_METHOD]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run") / "secret" / "place" / "nuts"


@pytest.fixture(scope="module")
def row(settings, data, trained):
    explainer, evidence, maps = trained
    prepared = prepare(settings, data, NONE)
    return deploy(prepared, Fit(explainer, evidence), maps)


def test_the_file_gives_the_maps_of_the_table(row, folder, data, trained):
    explainer, evidence, _ = trained
    live = make_maps(
        ("residual", DEFAULT_METHOD), explainer, evidence, data.test.images
    )
    detector = load_detector(folder / "detector.zip", batch_size=4)
    maps = detector.maps(data.test.images)
    scale = live[DEFAULT_METHOD].max()
    assert np.abs(maps - live[DEFAULT_METHOD]).max() <= 1e-5 * scale
    assert row["largest_difference"] <= 1e-5
    assert row["bytes"] == (folder / "detector.zip").stat().st_size


def test_rates_are_those_of_the_thresholds(row, folder, data, trained):
    _, _, normal_maps = trained
    assert row["calibration_images"] == HELD_OUT
    assert row["promised_image_rate"] == 0.05
    reached = normal_maps.max((1, 2)) >= row["image_threshold"]
    assert reached.mean() <= 0.05
    assert row["minimum_area"] == usual_area(SIZE) == 1
    marked = (normal_maps >= row["pixel_threshold"]).mean()
    assert marked <= row["calibration_pixel_rate"] <= marked + 1e-3
    detector = load_detector(folder / "detector.zip")
    maps = detector.maps(data.test.images[:6])
    assert row["held_out_images"] == 6
    found = maps.max((1, 2)) >= row["image_threshold"]
    assert row["held_out_image_rate"] == pytest.approx(found.mean())
    found = maps >= row["pixel_threshold"]
    assert row["held_out_pixel_rate"] == pytest.approx(found.mean())


def test_the_file_says_how_to_read_images(row, folder):
    about = load_detector(folder / "detector.zip").metadata["about"]["data"]
    assert about["bits"] == 16


def test_nominal_and_found_rates_are_told_side_by_side(row):
    text = describe(row)
    assert "from 20 normal images, promises at most 5.0% false alarms, its" in text
    reached = round(6 * row["held_out_image_rate"])
    assert f"of 6 other normal images {reached} reach it" in text
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_what_one_image_promises_is_not_what_it_shows(row, folder, data):
    """None of one image reaches the threshold, and every second new one may."""
    detector = load_detector(folder / "detector.zip")
    maps = detector.maps(data.validation[:1])
    alone = dataclasses.replace(detector, calibration=from_normal_maps(maps))
    rates = thresholds_and_rates(alone, data.test.images[:1])
    assert rates["promised_image_rate"] == 0.5
    text = describe(row | rates)
    assert "at most 50.0% false alarms (so few images cannot promise 5%)" in text
    assert "of 1 other normal images" in text
    assert re.findall(r" 0\.0+%| 0%", text.split("pixel threshold")[0]) == []


def test_without_other_normal_images_there_is_no_found_rate(
    tmp_path, settings, data, trained
):
    nothing = dataclasses.replace(
        data.test,
        images=data.test.images[:0],
        masks=data.test.masks[:0],
        defects=(),
        paths=(),
    )
    alone = dataclasses.replace(data, test=nothing)
    elsewhere = dataclasses.replace(settings, workdir=str(tmp_path))
    explainer, evidence, maps = trained
    row = deploy(prepare(elsewhere, alone, NONE), Fit(explainer, evidence), maps)
    assert row["held_out_image_rate"] is None
    assert "no other normal image" in describe(row)


def test_few_held_out_images_promise_what_they_can(row, folder):
    known = load_detector(folder / "detector.zip").calibration
    assert usual_level(known) == 0.05
    scores = NormalScores(4, (0, 1, 2, 3), known.images.values[:4])
    few = dataclasses.replace(known, images=scores)
    assert usual_level(few) == 0.2


def test_the_file_says_how_it_was_made_and_not_where(row, folder, settings, trained):
    assert row["method"] == trained[0].choice
    with zipfile.ZipFile(folder / "detector.zip") as archive:
        about = json.loads(archive.read("metadata.json"))["about"]
    assert about["category"] == "nuts"
    assert about["method"] == trained[0].choice
    assert about["data"]["sha256"] == "0" * 64
    assert about["settings"]["epochs"] == settings.epochs
    assert b"secret" not in (folder / "detector.zip").read_bytes()


@pytest.fixture(scope="module")
def program(pytestconfig):
    """The Python in the documentation."""
    text = (pytestconfig.rootpath / "docs" / "deploy.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(block.strip().splitlines()) <= 20
    return block


@pytest.mark.parametrize("brightness", [None, 255])
def test_the_program_in_the_documentation(
    row, folder, data, program, monkeypatch, capsys, brightness
):
    pixels = data.validation[0, ..., 0].copy()
    if brightness is not None:
        pixels[::2, ::2] = brightness
    Image.fromarray(pixels).resize((48, 40)).save(folder / "part.png")
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(program, names)
    assert row["image_threshold"] == names["normals"].conformal_threshold(0.05)
    verdict, score, p_value = capsys.readouterr().out.split()
    assert verdict == ("normal" if brightness is None else "anomalous")
    assert (verdict == "normal") == (float(score) < row["image_threshold"])
    assert (verdict == "normal") == (float(p_value) > 0.05)
    with Image.open(folder / "mask.png") as mask:
        assert mask.size == (48, 40)
        # A normal image may show regions, but small ones.
        assert np.asarray(mask).any() or verdict == "normal"


def odd_photos():
    """On its side by its metadata; 16 bits; a palette of which a colour is clear."""
    gray = texture(1, seed=4)[0, ..., 0].repeat(2, 0)
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "turned": (Image.fromarray(gray), {"exif": turned}),
        "wide": (Image.fromarray(gray.astype(np.uint16) * 257), {}),
        "palette": (Image.fromarray(gray).convert("P"), {"transparency": 100}),
        "RGBA": (Image.fromarray(gray).convert("RGBA"), {}),
    }


@pytest.mark.parametrize("kind", ["turned", "wide", "palette", "RGBA"])
def test_the_program_in_the_documentation_finds_what_an_inspection_finds(
    row, folder, program, monkeypatch, tmp_path, kind
):
    image, options = odd_photos()[kind]
    image.save(tmp_path / "part.png", **options)
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "detector.zip", tmp_path)
    names: dict = {}
    exec(program, names)
    (found,) = inspection.inspect(names["detector"], "part.png")
    assert float(names["score"]) == found.score
    assert names["p_value"] == found.p_value
    with Image.open("mask.png") as mask:
        assert mask.size == (found.width, found.height)
        assert (found.width > found.height) == (kind == "turned")
