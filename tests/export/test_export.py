"""Facts about a detector as a file: it is the live one, or it says why not."""

import dataclasses
import functools
import inspect
import json
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export as jax_export

from vae_jax import anomaly, attention, calibration, export, models
from vae_jax.export import load_detector, save_detector

SIZE = 16
TRAINING = ("flax", "optax", "orbax", "grain", "tensorflow_datasets", "experiments")


def images_of(count, seed=0, channels=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, SIZE, SIZE, channels), np.uint8)


def floor(weights, images):
    """Cheap maps that still need the images one by one and a weight."""
    return weights["gain"] * anomaly.gaussian_blur(images, sigma=1.0).mean(-1)


WEIGHTS = {"gain": np.array(2.0, np.float32), "unused": np.ones(3, np.float32)}


def live_maps(function, weights, images):
    with jax.default_matmul_precision("highest"):
        return np.asarray(jax.jit(function)(weights, images / np.float32(255)))


def save(
    path, function=floor, weights=WEIGHTS, *, channels=1, maps=None, tolerance=1e-5
):
    images = images_of(5, channels=channels)
    if maps is None:
        maps = live_maps(function, weights, images)
    return save_detector(
        path,
        function,
        weights,
        images=images,
        maps=maps,
        calibration=calibration.from_normal_maps(maps),
        about={"category": "nuts"},
        tolerance=tolerance,
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "new folder" / "detector.zip"
    save(path)
    return path


@pytest.fixture(scope="module")
def network():
    """With drawn numbers for parameters, which no program must be compiled for."""
    vae = models.small_vae(image_size=SIZE, latents=3, width=4)
    init = functools.partial(models.init, vae)
    rng = np.random.default_rng(0)
    return vae, jax.tree.map(
        lambda leaf: rng.uniform(0.0, 0.1, leaf.shape).astype(np.float32),
        jax.eval_shape(init, key=jax.random.key(0)),
    )


def test_a_loaded_detector_is_the_live_one(file):
    detector = load_detector(file)
    images = images_of(9, seed=1)
    expected = live_maps(floor, WEIGHTS, images)
    maps = detector.maps(images)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, expected, rtol=1e-6)
    np.testing.assert_array_equal(detector.scores(maps), maps.max((1, 2)))
    assert (detector.image_size, detector.channels) == (SIZE, 1)
    assert detector.metadata["about"] == {"category": "nuts"}
    assert detector.metadata["check"]["largest_difference"] <= 1e-5
    known = calibration.from_normal_maps(live_maps(floor, WEIGHTS, images_of(5)))
    assert detector.calibration == known


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_maps_do_not_depend_on_the_batch(file, batch_size):
    images = images_of(9, seed=1)
    expected = load_detector(file, batch_size=9).maps(images)
    detector = load_detector(file, batch_size=batch_size)
    np.testing.assert_allclose(detector.maps(images), expected, rtol=1e-6)
    np.testing.assert_allclose(detector.maps(images[3:4]), expected[3:4], rtol=1e-6)
    assert detector.maps(images[:0]).shape == (0, SIZE, SIZE)


def test_any_number_of_images_compiles_once(file):
    detector = load_detector(file, batch_size=4)
    seen = []

    def program(images):
        seen.append(images.shape[0])
        return detector.program(images)

    watched = dataclasses.replace(detector, program=program)
    for count in (1, 4, 6):
        watched.maps(images_of(count))
    assert seen == [4, 4, 4, 4]


@pytest.mark.parametrize("method", ["attention", "input gradient", "residual"])
def test_maps_of_a_network_pass_the_check(tmp_path, network, method):
    vae, variables = network

    def function(variables, images):
        match method:
            case "attention":
                return attention.attention_maps(
                    vae, variables, images, tap="conv2", score=attention.kl
                )
            case "input gradient":
                gradient = attention.tap_gradient(
                    vae, variables, images, tap="input", score=attention.squared_norm
                ).gradient
                return jnp.abs(gradient).mean(-1)
            case _:
                noise = jnp.zeros((len(images), 3))
                decoded = vae.apply(variables, images, noise=noise).decoded
                return anomaly.absolute_residual(images, decoded)

    detector = save(tmp_path / "detector.zip", function, variables)
    assert detector.metadata["check"]["largest_difference"] <= 1e-5
    assert detector.metadata["platforms"] == ["cpu", "cuda", "tpu"]
    with zipfile.ZipFile(tmp_path / "detector.zip") as archive:
        program = jax_export.deserialize(bytearray(archive.read("program.bin")))
    # Products and convolutions in all of float32, whatever the platform prefers.
    text = program.mlir_module()
    assert "precision HIGHEST" in text
    assert "precision DEFAULT" not in text
    assert "precision = [DEFAULT" not in text


def test_the_same_detector_is_the_same_file_wherever_it_is_made(file, tmp_path):
    before = jax.config.values["jax_traceback_in_locations_limit"]
    save(tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()
    assert b".py" not in file.read_bytes()
    assert jax.config.values["jax_traceback_in_locations_limit"] == before


def test_metadata_and_weights_are_read_by_other_tools(file):
    with np.load(file) as arrays:
        np.testing.assert_array_equal(arrays["weights/unused"], np.ones(3))
    with zipfile.ZipFile(file) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["image"] == {"size": SIZE, "channels": 1}
    assert metadata["sha256"].keys() >= {"program.bin", "weights/gain.npy"}
    assert metadata["exported_with"]["jax"] == jax.__version__


def test_a_fresh_process_needs_no_training_code(file, tmp_path):
    images = images_of(3, seed=2)
    np.save(tmp_path / "images.npy", images)
    program = f"""
import sys
import numpy as np
from vae_jax.export import load_detector

detector = load_detector({str(file)!r})
np.save({str(tmp_path / "maps.npy")!r}, detector.maps(np.load("images.npy")))
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(*loaded.intersection({TRAINING!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
    expected = live_maps(floor, WEIGHTS, images)
    difference = np.abs(np.load(tmp_path / "maps.npy") - expected).max()
    assert difference <= 1e-5 * expected.max()


def test_a_file_that_differs_from_the_live_maps_is_not_written(tmp_path):
    path = tmp_path / "detector.zip"
    path.write_bytes(b"what was there")
    maps = live_maps(floor, WEIGHTS, images_of(5)).copy()
    maps[2, 3, 4] += 2e-5 * maps.max()
    with pytest.raises(ValueError, match=r"differ from the live ones by 2\.0e-05"):
        save(path, maps=maps)
    assert [each.name for each in tmp_path.iterdir()] == ["detector.zip"]
    assert path.read_bytes() == b"what was there"
    save(path, maps=maps, tolerance=1e-4)


def test_a_map_that_depends_on_the_other_images_is_found_out(tmp_path):
    def coupled(weights, images):
        return floor(weights, images) / images.mean()

    with pytest.raises(ValueError, match="differ from the live ones"):
        save(tmp_path / "detector.zip", coupled)


def complaint(path):
    try:
        load_detector(path)
    except ValueError as error:
        return str(error)
    return None


def test_every_damaged_byte_is_noticed_in_one_line(file, tmp_path):
    whole, path = file.read_bytes(), tmp_path / "detector.zip"
    expected = load_detector(file).maps(images_of(2))
    rng = np.random.default_rng(0)
    places = [*range(40), *rng.integers(0, len(whole), 80), *range(-60, 0)]
    for place in places:
        spoilt = bytearray(whole)
        spoilt[place] ^= 0x55
        path.write_bytes(spoilt)
        message = complaint(path)
        if message is None:  # a byte that says nothing, such as a date
            assert load_detector(path).calibration == load_detector(file).calibration
        else:
            assert "\n" not in message
    path.write_bytes(whole)
    np.testing.assert_array_equal(load_detector(path).maps(images_of(2)), expected)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_cut_short_is_one_line(file, tmp_path, share):
    path = tmp_path / "detector.zip"
    path.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(ValueError, match="cut short") as caught:
        load_detector(path)
    assert "\n" not in str(caught.value)


def changed(file, path, **changes):
    """The file with another metadata.json."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "metadata.json":
                content = json.dumps(json.loads(content) | changes)
            new.writestr(name, content)
    return path


def test_another_program_than_the_exported_one_is_refused(file, tmp_path):
    with zipfile.ZipFile(file) as archive:
        digests = json.loads(archive.read("metadata.json"))["sha256"]
    path = changed(file, tmp_path / "d.zip", sha256=digests | {"program.bin": "0" * 64})
    with pytest.raises(ValueError, match=r"program\.bin is not what was exported"):
        load_detector(path)


def test_a_newer_format_and_a_foreign_archive_are_refused(file, tmp_path):
    newer = changed(file, tmp_path / "newer.zip", format_version=99)
    with pytest.raises(ValueError, match=r"has format 99, .* update vae_jax"):
        load_detector(newer)
    foreign = tmp_path / "foreign.zip"
    with zipfile.ZipFile(foreign, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="an archive but no detector"):
        load_detector(foreign)
    with pytest.raises(FileNotFoundError):
        load_detector(tmp_path / "missing.zip")


def test_another_platform_is_refused(file, monkeypatch):
    monkeypatch.setattr(jax_export, "default_export_platform", lambda: "rocm")
    with pytest.raises(ValueError, match=r"for cpu, cuda, tpu, and this .* on rocm"):
        load_detector(file)


def test_a_program_that_this_jax_cannot_read_is_refused(file, monkeypatch):
    def refuse(program):
        raise ValueError("unknown\nversion 99")

    monkeypatch.setattr(jax_export, "deserialize", refuse)
    with pytest.raises(ValueError, match=r"exported with jax .*unknown version 99"):
        load_detector(file)


@pytest.mark.parametrize(
    "images",
    [
        images_of(1).astype(np.float32) / 255,
        images_of(1, channels=3),
        images_of(1)[:, :8],
        images_of(1)[0],
    ],
    ids=["float", "colour", "size", "no batch"],
)
def test_images_that_the_detector_is_not_for_are_refused(file, images):
    detector = load_detector(file)
    # Unwrapped, because the shape checks of the test run would speak first.
    maps = inspect.unwrap(type(detector).maps)
    with pytest.raises(ValueError, match=r"must be uint8 of shape \[16, 16, 1\]"):
        maps(detector, images)


def test_what_cannot_be_saved_is_refused(tmp_path):
    path = tmp_path / "detector.zip"
    maps = live_maps(floor, WEIGHTS, images_of(5))
    with pytest.raises(ValueError, match="must return float32 maps"):
        save(path, lambda weights, images: weights["gain"] * images, maps=maps)
    # Unwrapped, because the shape checks of the test run would speak first.
    bare = inspect.unwrap(save_detector)
    known = calibration.from_normal_maps(maps)
    with pytest.raises(ValueError, match="at least one image and its map"):
        bare(
            path,
            floor,
            WEIGHTS,
            images=images_of(4),
            maps=maps,
            calibration=known,
            about={},
        )
    assert list(tmp_path.iterdir()) == []


def test_a_batch_of_no_image_is_refused(file):
    with pytest.raises(ValueError, match=r"batch_size .* got 0"):
        load_detector(file, batch_size=0)


def test_colour(tmp_path):
    assert save(tmp_path / "detector.zip", channels=3).channels == 3


def test_the_package_says_what_is_in_the_file(file):
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            known = name if "/" not in name else "weights/*.npy"
            assert known in (export.__doc__ or "")
