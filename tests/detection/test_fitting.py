"""What `fit` refuses before it trains, and what it leaves when it has."""

import numpy as np
import pytest
from PIL import Image

from vae_jax import detection, train
from vae_jax.detection import fitting
from vae_jax.export import load_detector

SMALL = {"image_size": 32, "latents": 3, "batch_size": 8, "epochs": 1}


def texture(count, *, size=32, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 200, (count, size // 4, size // 4, channels))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("training began")

    monkeypatch.setattr(train, "fit", refuse)


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        (texture(20) / np.float32(255), {}, "must be uint8 .* got float32"),
        (texture(20)[..., 0], {}, r"got uint8 of shape \[20, 32, 32\]"),
        (texture(20, channels=2), {}, "1 or 3 channels"),
        (texture(20)[:0], {}, "at least 2 images, got 0"),
        (texture(1), {}, "at least 2 images, got 1"),
        (texture(20, size=16), {}, "image 0 is 16x16 pixels, smaller than"),
        (texture(20), {"batch_size": 12}, "multiple of the number of devices"),
        (texture(20), {"tap": "conv9"}, "there is no 'conv9'; did you mean 'conv"),
        (texture(20), {"network": "mnist"}, "wants images of shape"),
        (texture(20), {"validation_share": 1.5}, "share must be in"),
        ("nowhere", {}, "there is no folder nowhere"),
        ("nowhere", {"tap": "conv9"}, "there is no 'conv9'"),
        (texture(20), {"epochs": -5}, "epochs must be at least 1, got -5"),
        (texture(20), {"learning_rate": 0.0}, "learning_rate must be positive"),
        (texture(20), {"clip_norm": -1.0}, "clip_norm must be positive, got -1"),
        (texture(20), {"blur": float("nan")}, "blur must be at least 0, got nan"),
    ],
)
def test_a_mistake_is_one_line_before_training(no_training, images, options, message):
    with pytest.raises(ValueError, match=message) as error:
        detection.fit(images, **SMALL | options)
    assert "\n" not in str(error.value)


def test_of_several_sets_one_must_be_named(no_training, tmp_path):
    for name in ("bolt", "nut"):
        (tmp_path / name / "good").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"holds several sets .* bolt, nut; give"):
        detection.fit(tmp_path, **SMALL)


def test_images_are_held_out_once_and_by_the_seed():
    images = texture(20)
    prepared = fitting._from_array(images, 32, 0.2, 0)
    again = fitting._from_array(images, 32, 0.2, 0)
    other = fitting._from_array(images, 32, 0.2, 1)
    assert (len(prepared.normal), len(prepared.held_out)) == (16, 4)
    np.testing.assert_array_equal(prepared.held_out, again.held_out)
    assert not np.array_equal(prepared.held_out, other.held_out)
    whole = np.concatenate([prepared.normal, prepared.held_out])
    assert sorted(map(bytes, whole)) == sorted(map(bytes, images))
    assert prepared.about["native_size"] == (32, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of colour images, two of another size, and a text."""
    folder = tmp_path_factory.mktemp("parts")
    for number, image in enumerate(texture(18, channels=3)):
        size = (40, 50) if number > 15 else (32, 32)
        Image.fromarray(image).resize(size).save(folder / f"{number:02}.png")
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture(scope="module")
def fitted(folder, tmp_path_factory):
    with pytest.warns(UserWarning, match=r"^fit: .*: 1 file passed over: notes\.txt$"):
        return detection.fit(
            folder,
            **SMALL,
            cache_dir=tmp_path_factory.mktemp("cache"),
            progress=False,
        )


def test_a_folder_will_do_and_its_colours_stay(fitted):
    assert (fitted.image_size, fitted.channels) == (32, 3)
    assert len(fitted.held_out) == fitted.calibration.images.count == 2
    about = fitted.metadata["about"]
    assert about["method"] in detection.CANDIDATES
    assert about["data"]["train_images"] == 16
    assert about["settings"]["epochs"] == 1


def test_maps_are_those_that_it_was_calibrated_by(fitted):
    maps = fitted.maps(fitted.held_out)
    scale = fitted.held_out_maps.max()
    np.testing.assert_allclose(
        maps / scale, fitted.held_out_maps / scale, rtol=0, atol=1e-5
    )
    scores = np.sort(fitted.held_out_maps.max((1, 2)))
    np.testing.assert_array_equal(fitted.calibration.images.values, scores)


def test_its_file_gives_the_same_maps_and_verdicts(fitted, tmp_path):
    returned = fitted.save(tmp_path / "detector.zip")
    loaded = load_detector(tmp_path / "detector.zip")
    images = texture(5, channels=3, seed=1)
    scale = fitted.maps(images).max()
    for detector in (returned, loaded):
        difference = np.abs(detector.maps(images) - fitted.maps(images)).max()
        assert difference <= 1e-5 * scale
        scores = detector.scores(detector.maps(images))
        for threshold in ("auto", "rate:0.5", float(np.median(scores))):
            np.testing.assert_array_equal(
                detector.verdicts(scores, threshold=threshold),
                fitted.verdicts(scores, threshold=threshold),
            )
    assert loaded.metadata["about"]["data"]["sha256"]


def test_a_verdict_is_of_scores_that_reach_the_threshold(fitted):
    scores = np.array([0.0, 1.0, 2.0], np.float32)
    assert fitted.verdicts(scores, threshold=1.0).tolist() == [False, True, True]
    with pytest.raises(ValueError, match="got NaN"):
        fitted.verdicts(np.array([np.nan], np.float32))


def test_each_latent_has_a_map(fitted):
    maps, kl = fitted.latent_maps(fitted.held_out[0] / np.float32(255))
    assert maps.shape == (3, 32, 32)
    assert kl.shape == (3,)
    assert (kl >= 0).all()


@pytest.mark.slow
def test_a_finished_call_is_not_made_again_and_other_settings_are_refused(
    tmp_path, monkeypatch
):
    images = texture(18)
    # Built as the README's: what one compiles serves the other.
    options = {"image_size": 32, "epochs": 1, "progress": False}
    before = detection.fit(images, **options, workdir=tmp_path / "run")

    def refuse(state, batch):
        raise AssertionError("it trains again")

    monkeypatch.setattr(train, "make_train_step", lambda *_, **options: refuse)
    again = detection.fit(images, **options, workdir=tmp_path / "run")
    np.testing.assert_array_equal(before.held_out_maps, again.held_out_maps)
    with pytest.raises(ValueError, match=r"settings\.epochs: 1 -> 2"):
        detection.fit(images, **options | {"epochs": 2}, workdir=tmp_path / "run")
