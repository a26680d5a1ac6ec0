"""Facts about AnoGAN's search, its maps, and its training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.baselines import anogan, dcgan
from vae_jax.data.augment import NONE

GAN = dcgan.dcgan(image_size=16, channels=1, latents=4, width=8)
QUICK = {
    "augmentation": NONE, "image_size": 16, "width": 8, "latents": 4, "batch_size": 16,
    "learning_rate": 1e-3, "search_learning_rate": 0.1, "search_batch": 4,
}  # fmt: skip


def discs(count, *, seed):
    """Dark discs on a bright ground, somewhere near the middle."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    top, left = random.uniform(13, 19, (2, count, 1, 1))
    inside = np.hypot(rows - top, columns - left) < 8
    return np.where(inside, 60, 200).astype(np.uint8)[..., None]


@pytest.fixture(scope="module")
def variables():
    params, state = jax.jit(lambda key: dcgan.init(GAN, key=key))(jax.random.key(0))
    # At its start the generator draws but gray.
    params = jax.tree.map(lambda x: 5 * x, params)
    return {name: {"params": params[name], **state[name]} for name in params}


@pytest.fixture(scope="module")
def find(variables):
    options = {"learning_rate": 0.05, "feature_weight": 0.1}
    start = jax.random.normal(jax.random.key(1), (4,))
    return functools.partial(
        anogan.find_latents, GAN, variables, start=start, **options
    )


@pytest.fixture(scope="module")
def drawn(variables):
    """Images of known latents."""
    latents = jax.random.normal(jax.random.key(2), (4, 4))
    return latents, dcgan.draw(GAN, variables, latents)


def test_the_loss_is_zero_where_the_generator_draws_the_image(variables, drawn):
    latents, images = drawn
    features = dcgan.judge(GAN, variables, images).features
    loss = anogan.search_loss(
        GAN, variables, latents, images, features, feature_weight=0.1
    )
    np.testing.assert_allclose(loss, np.zeros(4), atol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_the_loss_weighs_sums_over_pixels_and_features(variables, drawn, weight):
    latents, images = drawn
    others, features = images[::-1], np.zeros((4, 4, 4, 16), np.float32)
    loss = anogan.search_loss(
        GAN, variables, latents, others, jnp.asarray(features), feature_weight=weight
    )
    # Images in [-1, 1], twice as far from each other as in [0, 1].
    pixels = np.abs(2 * np.asarray(images - others)).sum((1, 2, 3))
    judged = np.abs(dcgan.judge(GAN, variables, images).features).sum((1, 2, 3))
    expected = (1 - weight) * pixels + weight * judged
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_search_comes_near_what_the_generator_can_draw(variables, find, drawn):
    _, images = drawn
    before = dcgan.draw(GAN, variables, find(images, steps=0))
    after = dcgan.draw(GAN, variables, find(images, steps=100))
    far = np.abs(images - before).mean((1, 2, 3))
    assert np.all(np.abs(images - after).mean((1, 2, 3)) < 0.3 * far)


def test_an_image_is_searched_for_as_if_it_were_alone(find, drawn):
    _, images = drawn
    together = find(images, steps=20)
    alone = jnp.concatenate([find(images[i : i + 1], steps=20) for i in range(4)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def maps_of():
    return anogan.fit_anogan(
        discs(64, seed=0), seed=0, folder=None, is_texture=False, steps=150,
        search_steps=60, **QUICK,
    )  # fmt: skip


def test_a_pasted_defect_lights_up(maps_of):
    images = discs(4, seed=1)
    normal = maps_of(images)
    images[:, 12:18, 12:18] = 250
    maps = maps_of(images)
    assert maps.shape == (4, 32, 32)
    assert maps.dtype == np.float32
    inside = maps[:, 13:17, 13:17].mean((1, 2))
    assert np.all(inside > 5 * normal[:, 13:17, 13:17].mean((1, 2)))
    beside = np.delete(maps.reshape(4, -1), pasted(), axis=1)
    assert np.all(inside > 4 * beside.mean(1))


def pasted():
    rows, columns = np.mgrid[10:20, 10:20]
    return (32 * rows + columns).ravel()


def test_a_map_is_the_same_in_any_batch(maps_of):
    images = discs(5, seed=2)
    # Batches are filled to one size, so that one program does the same for all.
    np.testing.assert_array_equal(maps_of(images)[3:], maps_of(images[3:]))


@pytest.mark.parametrize(("size", "tiles"), [(48, 3), (128, 4)])
def test_a_texture_is_searched_for_in_tiles(size, tiles):
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (1, size, size, 1), dtype=np.uint8)
    maps_of = anogan.fit_anogan(
        images, seed=0, folder=None, is_texture=True, steps=1, search_steps=2, **QUICK
    )
    other = images.copy()
    # Away from the edges of tiles, over which images and maps are resized.
    side = size // tiles
    middles = [
        slice(i * side + side // 4, (i + 1) * side - side // 4) for i in range(tiles)
    ]
    other[:, middles[0], middles[1]] ^= 255
    changed = np.abs(maps_of(other) - maps_of(images))[0]
    inside = np.array(
        [[changed[rows, columns].max() for columns in middles] for rows in middles]
    )
    expected = np.zeros((tiles, tiles), bool)
    expected[0, 1] = True
    np.testing.assert_array_equal(inside > 0, expected)


def test_a_finished_run_is_not_trained_again(tmp_path, capfd):
    fit = functools.partial(
        anogan.fit_anogan, folder=tmp_path, is_texture=False, search_steps=3, **QUICK
    )
    normals = discs(8, seed=0)
    first = fit(normals, seed=0, steps=2)(normals)
    capfd.readouterr()
    np.testing.assert_array_equal(fit(normals, seed=0, steps=2)(normals), first)
    assert "continuing after step 2 of 2" in capfd.readouterr().err
    with pytest.raises(ValueError, match=r"another configuration \(seed: 0 -> 1\)"):
        fit(normals, seed=1, steps=2)
    normals[0] ^= 255
    with pytest.raises(ValueError, match=r"another configuration \(sha256: "):
        fit(normals, seed=0, steps=2)
