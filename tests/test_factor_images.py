import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import factor_images
from vae_jax.data import dsprites
from vae_jax.data.factors import FactorGrid, GridImages

STRIDES = (1, 5, 10, 8, 11)


@pytest.fixture(scope="module")
def sprites():
    """3 x 2 x 4 x 4 x 3 images."""
    return factor_images.procedural_dsprites(STRIDES)


def drawn(grid, classes):
    """What the images of these classes must be."""
    whole = dsprites.render(np.asarray(classes) * np.array(STRIDES))
    return whole[..., None].astype(np.float32)


def test_every_image_is_rendered_at_its_place(sprites):
    assert sprites.source == "dSprites-compatible, procedural"
    assert sprites.grid.sizes == (3, 2, 4, 4, 3)
    index = jnp.arange(sprites.grid.size)
    found = jax.jit(lambda data, index: data.images(index))(sprites, index)
    assert found.dtype == jnp.float32
    expected = drawn(sprites.grid, sprites.grid.classes(np.arange(sprites.grid.size)))
    np.testing.assert_array_equal(found, expected)


def test_the_whole_set_is_the_default():
    shapes = jax.eval_shape(factor_images.procedural_dsprites)
    assert shapes.stored.shape == (737_280, 512)
    assert shapes.grid == dsprites.GRID


def test_samples_are_images_of_their_classes(sprites):
    images, classes = sprites.sample(jax.random.key(0), 50)
    np.testing.assert_array_equal(images, drawn(sprites.grid, classes))


def test_samples_are_uniform_over_the_grid(sprites):
    """Chi-square over all combinations: factors are uniform and independent."""
    _, classes = jax.jit(lambda data, key: data.sample(key, 28_800))(
        sprites, jax.random.key(3)
    )
    counts = np.bincount(sprites.grid.index(np.asarray(classes)), minlength=288)
    assert len(counts) == 288
    assert stats.chisquare(counts).pvalue > 0.01


def test_the_same_key_draws_the_same_and_another_others(sprites):
    first, again, other = (
        sprites.sample(jax.random.key(seed), 20)[1] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_fixed_factors_match_and_the_others_are_uniform(sprites):
    number = 9600
    rng = np.random.default_rng(0)
    classes = jnp.asarray(rng.integers(0, sprites.grid.sizes, (number, 5)))
    fixed = jnp.asarray(rng.random((number, 5)) < 0.5)
    images, found = jax.jit(type(sprites).sample_matching)(
        sprites, jax.random.key(5), classes, fixed
    )
    np.testing.assert_array_equal(images[:50], drawn(sprites.grid, found[:50]))
    np.testing.assert_array_equal(
        np.where(fixed, found, 0), np.where(fixed, classes, 0)
    )
    for factor, size in enumerate(sprites.grid.sizes):
        free = np.asarray(found[:, factor])[~np.asarray(fixed[:, factor])]
        assert stats.chisquare(np.bincount(free, minlength=size)).pvalue > 0.01


def test_runs_draw_from_one_copy(sprites):
    """vmapped over keys alone, each run draws what it draws by itself."""
    keys = jax.random.split(jax.random.key(7), 3)
    together = jax.jit(jax.vmap(lambda data, key: data.sample(key, 5), (None, 0)))
    images, classes = together(sprites, keys)
    for run, key in enumerate(keys):
        alone = sprites.sample(key, 5)
        np.testing.assert_array_equal(images[run], alone[0])
        np.testing.assert_array_equal(classes[run], alone[1])


def test_it_is_a_pytree_of_one_array(sprites):
    (leaf,) = jax.tree.leaves(sprites)
    assert leaf.dtype == jnp.uint8
    assert jax.tree.map(jnp.shape, sprites).stored == (288, 512)


def test_original_files_are_put_on_the_device(sprites, tmp_path):
    images = np.array(sprites.images(jnp.arange(sprites.grid.size))[..., 0], np.uint8)
    classes = sprites.grid.classes(np.arange(sprites.grid.size))
    np.savez_compressed(
        tmp_path / "tiny.npz",
        imgs=images,
        latents_classes=np.pad(classes, ((0, 0), (1, 0))),
    )
    found = factor_images.load_dsprites(tmp_path / "tiny.npz")
    assert found.source == "dSprites"
    assert found.grid == sprites.grid
    np.testing.assert_array_equal(found.stored, sprites.stored)


def test_rgb_images_are_scaled_to_one(monkeypatch):
    pixels = np.array([0, 51, 255], np.uint8) * np.ones((2, 64, 64, 1), np.uint8)
    grid = FactorGrid(("a",), (2,))
    monkeypatch.setattr(
        "vae_jax.data.shapes3d.load", lambda folder: GridImages(pixels, grid, folder)
    )
    found = factor_images.load_shapes3d("Shapes3D")
    assert found.source == "Shapes3D"
    images = found.images(jnp.array([1]))
    assert images.shape == (1, 64, 64, 3)
    np.testing.assert_allclose(images[0, 5, 7], [0, 0.2, 1], rtol=1e-6)


def test_bad_strides_are_refused():
    with pytest.raises(ValueError, match="every: strides must be 5 positive numbers"):
        factor_images.procedural_dsprites((1, 1, 1, 1, 0))


def test_coloured_sprites_have_one_colour_each(sprites):
    coloured = sprites.as_variant("colour")
    assert coloured.source == "dSprites-compatible, procedural, colour"
    index = jnp.arange(6)
    images, plain = coloured.images(index), sprites.images(index)
    assert images.shape == (6, 64, 64, 3)
    colours = images.max((1, 2))
    np.testing.assert_array_equal(images, plain * colours[:, None, None])
    assert float(colours.min()) >= 0.5
    assert len(np.unique(colours)) == colours.size


def test_sprites_are_white_on_noise_that_only_a_key_changes(sprites):
    noisy = sprites.as_variant("noisy")
    index = jnp.array([3, 7])
    images, plain = noisy.images(index), sprites.images(index)
    np.testing.assert_array_equal(noisy.images(index[1:]), images[1:])
    assert bool((noisy.images(index, key=jax.random.key(1)) != images).any())
    background = np.asarray(images)[np.broadcast_to(plain == 0, images.shape)]
    assert stats.kstest(background, "uniform").pvalue > 0.01
    assert bool((jnp.where(plain == 1, images, 1) == 1).all())


def test_draws_of_a_variant_are_of_its_sprites(sprites):
    noisy = sprites.as_variant("noisy")
    (first, classes), (other, _) = (
        noisy.sample(jax.random.key(seed), 4) for seed in (0, 1)
    )
    white = drawn(sprites.grid, classes) == 1
    assert bool((jnp.where(white, first, 1) == 1).all())
    fixed = jnp.ones(classes.shape, bool)
    again, _ = noisy.sample_matching(jax.random.key(2), classes, fixed)
    assert bool((jnp.where(white, again, 1) == 1).all())
    assert bool((again != first).any())
    assert bool((other != first).any())


def test_a_variant_is_kept_by_a_part_and_wants_white_sprites(sprites):
    part = sprites.as_variant("colour").every((1, 1, 1, 1, 2))
    assert part.variant == "colour"
    assert sprites.as_variant("plain") is sprites
    assert sprites.every((1, 1, 1, 1, 1)) is sprites
    pixels = jnp.zeros((2, 64, 64, 3), jnp.uint8)
    rgb = factor_images.FactorImages(pixels, FactorGrid(("a",), (2,)), "Shapes3D")
    with pytest.raises(ValueError, match=r"colour wants white sprites .* Shapes3D"):
        rgb.as_variant("colour")
    with pytest.raises(ValueError, match=r"variant must be one of .*, got 'sepia'"):
        inspect.unwrap(factor_images.FactorImages.as_variant)(sprites, "sepia")
