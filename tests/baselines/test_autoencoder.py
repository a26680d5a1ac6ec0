"""Facts about the autoencoder baselines: network, objectives, training, maps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses
from vae_jax.baselines import autoencoder
from vae_jax.baselines.autoencoder import (
    OBJECT_LAYERS,
    TEXTURE_LAYERS,
    Autoencoder,
    adam_with_l2,
    error_map,
    fit_autoencoder,
    scaled,
)
from vae_jax.data.augment import NONE


def parameters(layers, *, size, channels):
    images = jnp.zeros((1, size, size, channels))
    shapes = jax.eval_shape(Autoencoder(layers, 100).init, jax.random.key(0), images)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def weights_and_biases(kernel, channels, out):
    return kernel**2 * channels * out + out


@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_of_the_published_texture_network(channels):
    widths = [channels, 32, 32, 32, 64, 64, 128, 64, 32, 100]
    kernels = [4, 4, 3, 4, 3, 4, 3, 3, 8]
    count = weights_and_biases
    encoder = map(count, kernels, widths[:-1], widths[1:])
    decoder = map(count, kernels[::-1], widths[:0:-1], widths[-2::-1])
    by_hand = sum(encoder) + sum(decoder)
    assert by_hand == {1: 1_048_549, 3: 1_050_599}[channels]
    assert parameters(TEXTURE_LAYERS, size=128, channels=channels) == by_hand


def test_objects_get_one_layer_more():
    texture = parameters(TEXTURE_LAYERS, size=128, channels=3)
    # Its 32 channels come between the image and what was the first layer.
    more = 2 * (4**2 * 32 * 32 + 32)
    assert parameters(OBJECT_LAYERS, size=256, channels=3) == texture + more


def test_other_widths_keep_the_proportions():
    halved = [layer.channels for layer in scaled(TEXTURE_LAYERS, 16)]
    assert halved == [16, 16, 16, 32, 32, 64, 32, 16]
    assert scaled(OBJECT_LAYERS, 32) == OBJECT_LAYERS
    with pytest.raises(ValueError, match=r"scaled: width must be at least .* got 0"):
        scaled(OBJECT_LAYERS, 0)


@pytest.mark.parametrize("shape", [(16, 16, 1), (48, 80, 3), (37, 51, 1)])
def test_any_size_is_squeezed_and_comes_back(shape):
    network = Autoencoder(TEXTURE_LAYERS, 7)
    images = jnp.zeros((2, *shape))
    output, captured = jax.eval_shape(
        lambda: network.init_with_output(
            jax.random.key(0), images, capture_intermediates=True
        )
    )
    assert output.shape == images.shape
    squeezed = captured["intermediates"]["to_latents"]["__call__"][0]
    assert squeezed.shape == (2, 1, 1, 7)
    side = captured["params"]["to_latents"]["kernel"].shape[:2]
    assert side == (shape[0] // 16, shape[1] // 16)


def test_images_that_the_layers_use_up_are_refused():
    with pytest.raises(ValueError, match="5 halvings want images of at least 32x32"):
        parameters(OBJECT_LAYERS, size=31, channels=1)


@functools.cache
def small():
    """A network of three layers, its parameters, and colour images."""
    layers = (autoencoder.Layer(4, 4, 2), autoencoder.Layer(6, 3, 1))
    network = Autoencoder(layers, 3)
    images = jnp.asarray(np.random.default_rng(0).random((3, 16, 16, 3)), jnp.float32)
    return network, jax.jit(network.init)(jax.random.key(0), images)["params"], images


def test_rectifiers_stand_between_layers_and_at_neither_end():
    """The network written out: slope 0.2 after all but to_latents and decode1."""
    network, params, images = small()

    def layer(name, x):
        transposed = not (name.startswith("encode") or name == "to_latents")
        kind = autoencoder.ConvTranspose if transposed else autoencoder.Conv
        kernel = params[name]["kernel"]
        strides = {"encode1": 2, "decode1": 2}
        ends = name in ("to_latents", "from_latents")
        module = kind(
            kernel.shape[-1],
            kernel.shape[:2],
            strides.get(name, 1),
            0 if ends else 1,
        )
        return module.apply({"params": params[name]}, x)

    x = images
    for name in ("encode1", "encode2"):
        x = layer(name, x)
        x = jnp.where(x > 0, x, 0.2 * x)
    x = layer("to_latents", x)
    for name in ("from_latents", "decode2"):
        x = layer(name, x)
        x = jnp.where(x > 0, x, 0.2 * x)
    x = layer("decode1", x)
    reconstructions = network.apply({"params": params}, images)
    np.testing.assert_allclose(reconstructions, x, atol=1e-6)


def test_l2_is_the_squared_difference_summed_over_channels():
    network, params, images = small()
    reconstructions = network.apply({"params": params}, images)
    maps = error_map(network, params, images, loss="l2", window="gaussian")
    by_hand = ((np.asarray(images) - np.asarray(reconstructions)) ** 2).sum(-1)
    np.testing.assert_allclose(maps, by_hand, rtol=1e-5)


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_ssim_compares_what_a_network_of_grey_images_makes_of_them(window):
    network, _, colour = small()
    grey = (0.299 * colour[..., :1] + 0.587 * colour[..., 1:2]) + (
        0.114 * colour[..., 2:]
    )
    params = jax.jit(network.init)(jax.random.key(1), grey)["params"]
    reconstructions = jax.jit(network.apply)({"params": params}, grey)
    expected = 1 - losses.ssim_map(grey, reconstructions, window=window)
    for images in (grey, colour):
        maps = error_map(network, params, images, loss="ssim", window=window)
        np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_weight_decay_goes_through_adam():
    """Where the loss is flat, Adam's first step is the learning rate all the same."""
    optimizer = adam_with_l2(0.1, weight_decay=1e-3)
    params = jnp.array([2.0, -3.0])
    updates, _ = optimizer.update(jnp.zeros(2), optimizer.init(params), params)
    np.testing.assert_allclose(updates, [-0.1, 0.1], rtol=1e-4)


def stripes(n, *, side=32, seed=0):
    """Normal images: stripes that begin where they like within a pixel."""
    rng = np.random.default_rng(seed)
    x = np.arange(side) + rng.uniform(0, 1, (n, 1))
    waves = 0.5 + 0.3 * np.sin(2 * np.pi * x / 8)
    images = np.broadcast_to(waves[:, None, :, None], (n, side, side, 1))
    return np.rint(255 * images).astype(np.uint8)


def with_defects(images):
    """A square in each without stripes, and where."""
    images, masks = images.copy(), np.zeros(images.shape[:3], bool)
    for i, image in enumerate(images):
        top, left = 4 + 5 * i, 16 - 3 * i
        masks[i, top : top + 8, left : left + 8] = True
        image[masks[i]] = 230 if i % 2 else 20
    return images, masks


OBJECT = {"loss": "ssim", "is_texture": False}
TEXTURE = {"loss": "l2", "is_texture": True}
each_kind = pytest.mark.parametrize(
    "kind", [OBJECT, TEXTURE], ids=["object", "texture"]
)


@functools.cache
def fit(*, loss, is_texture, steps=60, folder=None):
    return fit_autoencoder(
        stripes(48),
        loss=loss,
        is_texture=is_texture,
        seed=0,
        folder=folder,
        augmentation=NONE,
        steps=steps,
        batch_size=16,
        learning_rate=2e-2,
        width=4,
        latents=4,
        patch=16,
        stride=6,
    )


@each_kind
def test_a_defect_stands_out_from_what_is_normal(kind):
    images, masks = with_defects(stripes(4, seed=1))
    maps = fit(**kind)(images)
    assert maps.dtype == np.float32
    assert maps.shape == masks.shape
    for each, mask in zip(maps, masks, strict=True):
        assert each[mask].mean() > 2 * each[~mask].mean()


@each_kind
def test_an_image_has_the_same_map_alone_and_in_a_batch(kind):
    images, _ = with_defects(stripes(4, seed=1))
    maps = fit(**kind)
    together = maps(images)
    assert together.max() > 0.1
    for i in (0, 3):
        np.testing.assert_allclose(maps(images[i : i + 1])[0], together[i], atol=1e-5)
    assert maps(images[:0]).shape == (0, 32, 32)


def test_a_texture_may_have_any_size_from_the_patch_on():
    maps = fit(**TEXTURE)
    whole = maps(stripes(1, side=40))
    assert whole.shape == (1, 40, 40)
    # The corner is in the first patch alone; its map is that of the patch.
    first = maps(stripes(1, side=40)[:, :16, :16])
    np.testing.assert_allclose(whole[0, :6, :6], first[0, :6, :6], atol=1e-5)
    with pytest.raises(ValueError, match="patches must have from 1 pixel to the 12"):
        maps(stripes(1, side=12))


@pytest.mark.parametrize("shape", [(2, 40, 40, 1), (2, 32, 32, 3)])
def test_objects_come_as_they_were_in_training(shape):
    message = r"^error_maps: images must be of the shape \(32, 32, 1\) .*; .*\.$"
    with pytest.raises(ValueError, match=message):
        fit(**OBJECT)(np.zeros(shape, np.uint8))


def test_textures_smaller_than_a_patch_are_refused_before_training():
    with pytest.raises(ValueError, match="patches must have from 1 pixel to the 32 of"):
        fit_autoencoder(
            stripes(4),
            loss="l2",
            is_texture=True,
            seed=0,
            folder=None,
            augmentation=NONE,
        )


@pytest.mark.slow
def test_a_run_that_is_made_longer_ends_where_a_longer_one_does(tmp_path):
    images = stripes(2, seed=1)
    short = fit(**TEXTURE, steps=20, folder=tmp_path)(images)
    longer = fit(**TEXTURE, steps=60, folder=tmp_path)(images)
    whole = fit(**TEXTURE)(images)
    np.testing.assert_array_equal(longer, whole)
    assert not np.array_equal(short, whole)
    with pytest.raises(ValueError, match=r"another configuration \(loss: l2 -> ssim"):
        fit(**TEXTURE | {"loss": "ssim"}, folder=tmp_path)
