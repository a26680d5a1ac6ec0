"""Facts about the dictionary of normal patches and its maps."""

import functools
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.baselines import feature_dictionary, resnet18
from vae_jax.baselines.feature_dictionary import (
    Dictionary,
    choose_entries,
    fit_feature_dictionary,
    method_name,
    patch_distances,
    patch_features,
)
from vae_jax.data.augment import NONE

QUICK = {"augmentation": NONE, "training_patches": 300, "entries": 5}


def stripes(count, *, seed, channels=1, size=48):
    """Vertical stripes of any phase, with a little noise."""
    random = np.random.default_rng(seed)
    phases = random.uniform(0, 2 * np.pi, (count, 1, 1, 1))
    columns = np.arange(size)[None, None, :, None]
    waves = 128 + 60 * np.sin(columns / 2 + phases)
    noise = random.normal(0, 3, (count, size, size, channels))
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.npz"
    np.savez(path, **resnet18.random_weights(seed=7))
    return path


@pytest.fixture(scope="module")
def maps_of(weights):
    return fit_feature_dictionary(
        stripes(20, seed=0), weights=weights, seed=0, is_texture=True, image_size=48,
        **QUICK,
    )  # fmt: skip


def test_a_pasted_defect_lights_up(maps_of):
    images = stripes(4, seed=1)
    images[:, 16:32, 16:32] = images[:, 16:32, 16:32].swapaxes(1, 2)
    maps = maps_of(images)
    assert maps.shape == (4, 48, 48)
    assert maps.dtype == np.float32
    inside = maps[:, 20:28, 20:28].mean((1, 2))
    assert np.all(inside > 1.5 * maps[:, :, 40:].mean((1, 2)))


def test_a_map_is_the_same_alone_and_in_a_batch(maps_of):
    images = stripes(10, seed=2)
    together = maps_of(images)
    np.testing.assert_allclose(maps_of(images[9:]), together[9:], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        maps_of(images[::-1]), together[::-1], rtol=1e-5, atol=1e-7
    )


def test_maps_are_of_the_size_of_the_images(weights):
    images = stripes(12, seed=0, size=40)
    maps_of = fit_feature_dictionary(
        images, weights=weights, seed=0, is_texture=False, image_size=64, **QUICK
    )
    assert maps_of(images).shape == (12, 40, 40)


def test_gray_in_three_channels_gives_the_same_map(maps_of):
    images = stripes(2, seed=3)
    colour = maps_of(np.repeat(images, 3, axis=-1))
    np.testing.assert_allclose(colour, maps_of(images), rtol=1e-5, atol=1e-7)


def test_features_sum_to_one_and_ignore_scale(weights):
    network = resnet18.build(resnet18.load_weights(weights), image_size=16)
    patches = np.random.default_rng(0).random((6, 16, 16, 3), dtype=np.float32)
    features = patch_features(network, patches)
    assert features.shape == (6, 512)
    np.testing.assert_allclose(features.sum(1), np.ones(6), rtol=1e-5)
    raw = np.asarray(resnet18.features(network, jnp.asarray(patches)))
    np.testing.assert_allclose(
        features, raw / raw.sum(1, keepdims=True), rtol=1e-4, atol=1e-6
    )


@pytest.fixture(scope="module")
def clouds():
    """Three tight clouds of 40 points in a plane of a space of 6 dimensions."""
    random = np.random.default_rng(0)
    centres = np.array([[0, 0], [10, 0], [0, 7]])
    points = centres[:, None] + random.normal(0, 0.1, (3, 40, 2))
    plane, _ = np.linalg.qr(random.normal(size=(6, 2)))
    return (points @ plane.T).reshape(120, 6).astype(np.float32)


def test_the_dictionary_holds_one_member_of_each_cluster(clouds):
    chosen = choose_entries(clouds, explained_variance=0.999, entries=3, seed=0)
    assert chosen.components.shape == (2, 6)
    mean, components, entries = map(np.asarray, chosen)
    projected = (clouds - mean) @ components.T
    distances = np.linalg.norm(projected[:, None] - entries, axis=-1)
    # Each is a training feature, of another cloud, and near the middle of it.
    np.testing.assert_allclose(distances.min(0), np.zeros(3), atol=1e-5)
    assert sorted(distances.argmin(0) // 40) == [0, 1, 2]
    for member in distances.argmin(0):
        cloud = projected[member // 40 * 40 :][:40]
        from_middle = np.linalg.norm(cloud - cloud.mean(0), axis=1)
        assert from_middle[member % 40] == from_middle.min()


def test_pca_keeps_the_share_of_variance_that_is_asked_for(clouds):
    variances = np.linalg.eigvalsh(np.cov(clouds.T))[::-1]
    share = variances[0] / variances.sum()
    keep = functools.partial(choose_entries, clouds, entries=3, seed=0)
    assert len(keep(explained_variance=float(share - 0.01)).components) == 1
    assert len(keep(explained_variance=float(share + 0.01)).components) == 2


def test_distances_are_means_over_the_nearest_entries(weights):
    network = resnet18.build(resnet18.load_weights(weights), image_size=16)
    random = np.random.default_rng(4)
    patches = random.random((5, 16, 16, 1), dtype=np.float32)
    features = np.asarray(patch_features(network, patches))
    components, _ = np.linalg.qr(random.normal(size=(512, 8)))
    entries = random.normal(0, 0.01, (6, 8))
    dictionary = Dictionary(
        *(jnp.asarray(x, np.float32) for x in (features[0], components.T, entries))
    )
    projected = (features - features[0]) @ components
    each = np.sort(np.linalg.norm(projected[:, None] - entries, axis=-1), axis=1)
    for nearest in (1, 3, 6):
        distances = patch_distances(network, dictionary, patches, nearest=nearest)
        expected = each[:, :nearest].mean(1)
        np.testing.assert_allclose(distances, expected, rtol=1e-4)


def test_random_features_are_said_to_be_random(monkeypatch):
    with pytest.warns(UserWarning, match="random ones; .*feature-dictionary-random"):
        maps_of = fit_feature_dictionary(
            stripes(10, seed=0), weights=None, seed=0, is_texture=True, image_size=48,
            **QUICK,
        )  # fmt: skip
    assert maps_of(stripes(1, seed=1)).max() > 0
    assert method_name(None) == "feature-dictionary-random"
    assert method_name(feature_dictionary.Path("resnet18.npz")) == "feature-dictionary"


def test_images_are_resized_as_published(weights, monkeypatch):
    sizes = []

    def stop(source, size):
        sizes.append(size)
        raise InterruptedError

    monkeypatch.setattr(feature_dictionary, "resize_all", stop)
    for is_texture in (True, False):
        with pytest.raises(InterruptedError):
            fit_feature_dictionary(
                stripes(2, seed=0), weights=weights, seed=0, is_texture=is_texture,
                **QUICK,
            )  # fmt: skip
    assert sizes == [512, 256]


def test_patches_that_do_not_differ_are_refused(weights):
    flat = np.full((3, 48, 48, 1), 128, np.uint8)
    with pytest.raises(ValueError, match=r"5 entries need .* patches, got 1; give"):
        fit_feature_dictionary(
            flat, weights=weights, seed=0, is_texture=True, image_size=48, **QUICK
        )


@pytest.mark.parametrize("nearest", [0, 6])
def test_more_neighbours_than_entries_are_refused(weights, nearest):
    with pytest.raises(ValueError, match=rf"from 1 to the 5 entries, got {nearest}\.$"):
        fit_feature_dictionary(
            stripes(2, seed=0), weights=weights, seed=0, is_texture=True,
            nearest=nearest, **QUICK,
        )  # fmt: skip


def test_without_scikit_learn_one_line_says_what_to_do(clouds, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(
        ImportError, match=r"^fit_feature_dictionary: .* scikit-learn\.$"
    ):
        choose_entries(clouds, explained_variance=0.95, entries=3, seed=0)
