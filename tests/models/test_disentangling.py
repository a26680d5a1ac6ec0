import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.models import (
    Discriminator,
    burgess_vae,
    init,
    init_discriminator,
    kim_vae,
    locatello_vae,
    repro2021_vae,
)


def conv(kernel, channels, out):
    return kernel * kernel * channels * out + out


def dense(inputs, out):
    return inputs * out + out


# Layer by layer as the papers' tables have them, biases included.
DOWN_32_32 = conv(4, 1, 32) + conv(4, 32, 32)
DOWN_64_64 = conv(4, 32, 64) + conv(4, 64, 64)
UP = conv(4, 64, 64) + conv(4, 64, 32) + conv(4, 32, 32) + conv(4, 32, 1)
NETWORKS = {
    locatello_vae: (
        *(DOWN_32_32, conv(2, 32, 64), conv(2, 64, 64)),
        *(dense(1024, 256), 2 * dense(256, 10)),
        *(dense(10, 256), dense(256, 1024), UP),
    ),
    burgess_vae: (
        *(DOWN_32_32, 2 * conv(4, 32, 32)),
        *(dense(512, 256), dense(256, 256), 2 * dense(256, 10)),
        *(dense(10, 256), dense(256, 256), dense(256, 512)),
        *(3 * conv(4, 32, 32), conv(4, 32, 1)),
    ),
    kim_vae: (
        *(DOWN_32_32, DOWN_64_64, dense(1024, 128), 2 * dense(128, 10)),
        *(dense(10, 128), dense(128, 1024), UP),
    ),
    repro2021_vae: (
        *(DOWN_32_32, DOWN_64_64, dense(1024, 128), 2 * dense(128, 32)),
        *(dense(32, 128), dense(128, 1024), UP),
    ),
}


def sizes(params):
    return [leaf.size for leaf in jax.tree.leaves(params)]


@pytest.mark.parametrize("build", NETWORKS)
def test_networks_have_the_parameters_of_their_papers(build):
    model = build()
    params = jax.eval_shape(lambda: init(model, key=jax.random.key(0)))["params"]
    assert sum(sizes(params)) == sum(NETWORKS[build])
    assert f"{sum(NETWORKS[build]):,} parameters" in build.__doc__


@pytest.mark.parametrize("build", NETWORKS)
def test_every_convolution_is_a_tap_of_its_size(build):
    model = build(image_channels=3, latents=4)

    def run():
        variables = init(model, key=jax.random.key(0))
        images, noise = jnp.zeros((2, 64, 64, 3)), jnp.zeros((2, 4))
        return model.apply(variables, images, noise=noise, mutable=["perturbations"])

    outputs, marks = jax.eval_shape(run)
    assert outputs.decoded.shape == (2, 64, 64, 3)
    assert outputs.latents.shape == (2, 4)
    sides = {
        name: x.shape[1]
        for name, x in marks["perturbations"]["encoder"].items()
        if name.startswith("conv")
    }
    assert sides == {"conv1": 32, "conv2": 16, "conv3": 8, "conv4": 4}


def test_locatellos_network_ends_with_kernels_of_two():
    params = jax.eval_shape(lambda: init(locatello_vae(), key=jax.random.key(0)))
    encoder = params["params"]["encoder"]
    shapes = [encoder[f"convolution{i}"]["kernel"].shape[:2] for i in range(1, 5)]
    assert shapes == [(4, 4), (4, 4), (2, 2), (2, 2)]


@pytest.mark.parametrize(
    ("build", "is_linear"), [(repro2021_vae, True), (kim_vae, False)]
)
def test_the_reproductions_dense_layers_are_one_affine_map(build, is_linear):
    """With the convolutions' output kept fixed by kernels of zero, biases vary it."""
    model = build(latents=2)
    params = init(model, key=jax.random.key(0))["params"]["encoder"]

    def mean_at(scale):
        # Everything before is zero but the last bias, which the rectifier lets pass.
        last = {"kernel": 0 * params["convolution4"]["kernel"], "bias": scale}
        variables = {"params": params | {"convolution4": last}}
        return model.encoder.apply(variables, jnp.zeros((1, 64, 64, 1))).mean

    bias, step = jnp.full(64, 3.0), jnp.linspace(-2, 2, 64)
    second = mean_at(bias + step) + mean_at(bias - step) - 2 * mean_at(bias)
    assert (float(jnp.abs(second).max()) < 1e-4) == is_linear


def test_the_reproduction_initialises_all_but_its_transposed_convolutions():
    """Those keep PyTorch's default: uniform on +-1/sqrt(16 channels out)."""
    model = repro2021_vae()
    decoder = init(model, key=jax.random.key(0))["params"]["decoder"]
    last, dense = decoder["convolution1"], decoder["hidden"]["kernel"]
    assert 0.22 < float(jnp.abs(last["kernel"]).max()) <= 0.25
    assert 0 < float(jnp.abs(last["bias"]).max()) <= 0.25
    assert 0.019 < float(dense.std()) < 0.021


def test_the_discriminator_by_hand():
    model = Discriminator(layers=2, width=3)
    params = init_discriminator(model, latents=2, key=jax.random.key(0))["params"]
    latents = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    x = latents
    for name in ("hidden1", "hidden2"):
        x = x @ np.asarray(params[name]["kernel"])
        x = np.where(x > 0, x, 0.2 * x)
    expected = x @ np.asarray(params["logits"]["kernel"])
    logits = model.apply({"params": params}, jnp.asarray(latents))
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    assert logits.shape == (5, 2)


def test_the_discriminator_has_the_parameters_of_its_paper():
    model = Discriminator()
    params = jax.eval_shape(
        lambda: init_discriminator(model, latents=10, key=jax.random.key(0))
    )
    expected = dense(10, 1000) + 5 * dense(1000, 1000) + dense(1000, 2)
    assert sum(sizes(params)) == expected
    assert f"{expected:,} parameters" in Discriminator.__doc__


def test_kernels_start_with_the_variance_of_glorot_and_biases_at_zero():
    params = init_discriminator(
        Discriminator(layers=1), latents=10, key=jax.random.key(0)
    )["params"]
    bound = math.sqrt(6 / 1010)
    kernel = np.asarray(params["hidden1"]["kernel"])
    np.testing.assert_allclose(np.abs(kernel).max(), bound, rtol=0.01)
    np.testing.assert_allclose(kernel.var(), bound**2 / 3, rtol=0.05)
    assert not params["hidden1"]["bias"].any()
