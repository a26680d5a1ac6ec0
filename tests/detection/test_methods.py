"""Facts about the maps of a network, and about what is evidence to normal images."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import anomaly, attention, losses, models
from vae_jax.detection import ablation, batches, explainer, maps
from vae_jax.detection import evidence as evidence_of
from vae_jax.detection.methods import ABLATION, METHODS, lookup, make_maps
from vae_jax.models.conv import ConvDecoder, ConvEncoder

SIZE = 16
SIGNED = ("kl", "squared-norm", "paper", "normal-difference")
"""Methods that rectify a signed sum, of which nothing may be left."""


def identity(values):
    return values


@pytest.fixture(scope="module")
def network():
    """A network that was not trained, but drawn."""
    shape = (SIZE, SIZE, 3)
    model = models.VAE(
        ConvEncoder((4, 8), 8, 4, norm="batch"),
        ConvDecoder((4, 8), 8, shape, norm="batch", pixel_bias=True),
    )
    likelihood = functools.partial(losses.gaussian_log_likelihood, logvar=-4.0)
    return explainer.Explainer(
        model, likelihood, identity, identity, tap="conv2", blur=1.0
    )


@pytest.fixture(scope="module")
def normals():
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 200, (40, SIZE // 4, SIZE // 4, 3))
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


@pytest.fixture(scope="module")
def evidence(network, normals):
    variables = models.init(network.model, key=jax.random.key(0))
    return evidence_of.gather_evidence(network, variables, normals)


@pytest.fixture(scope="module")
def images(normals):
    images = normals[:3].copy()
    images[1:, 4:9, 4:9] = 255
    return images


@pytest.fixture(scope="module")
def found(network, evidence, images):
    return make_maps((*METHODS, *ABLATION), network, evidence, images)


@pytest.fixture(scope="module")
def floats(images):
    return jnp.asarray(images / 255, jnp.float32)


def test_every_map_is_finite_and_none_is_negative(found):
    assert found.keys() == METHODS.keys() | ABLATION.keys()
    for name, values in found.items():
        assert values.shape == (3, SIZE, SIZE), name
        assert values.dtype == np.float32, name
        assert np.isfinite(values).all(), name
        assert values.min() >= 0, name
        assert values.std() > 0 or name.startswith(SIGNED), name


def test_a_map_is_the_same_alone_and_in_a_batch(network, evidence, images, found):
    alone = make_maps((*METHODS, *ABLATION), network, evidence, images[2:])
    for name, values in alone.items():
        scale = found[name][2].max() or 1.0
        np.testing.assert_allclose(
            values[0] / scale, found[name][2] / scale, atol=2e-5, err_msg=name
        )


def test_the_chosen_map_is_that_of_the_choice(network, evidence, images, found):
    other = dataclasses.replace(network, choice="whitened")
    np.testing.assert_array_equal(found["chosen"], found[network.choice])
    chosen = make_maps(("chosen",), other, evidence, images)["chosen"]
    np.testing.assert_allclose(chosen, found["whitened"], rtol=1e-4)
    deployed = jax.jit(lambda x: lookup("chosen").maps(other, evidence, x))
    np.testing.assert_allclose(deployed(images / np.float32(255)), chosen, rtol=1e-3)


def test_no_image_has_no_map(network, evidence, images):
    assert make_maps(("paper",), network, evidence, images[:0])["paper"].shape == (
        0,
        SIZE,
        SIZE,
    )


def test_a_method_at_another_tap_is_that_of_a_network_explained_there(
    network, evidence, images
):
    both = make_maps(("paper@relu1", "paper"), network, evidence, images)
    there = dataclasses.replace(network, tap="relu1")
    expected = make_maps(("paper",), there, evidence, images)["paper"]
    np.testing.assert_array_equal(both["paper@relu1"], expected)
    assert not np.array_equal(both["paper"], expected)
    with pytest.raises(KeyError):
        lookup("papr")


def test_gradients_at_the_input_add_up_to_that_of_the_elbo(network, evidence, floats):
    error, kl, elbo = (
        explainer.input_gradient(
            network, evidence.variables, floats, score=score_of(network)
        )
        for score_of in (
            maps.reconstruction_error,
            maps.divergence,
            maps.negative_elbo,
        )
    )
    assert float(jnp.abs(kl).max()) > 0
    np.testing.assert_allclose(error + kl, elbo, rtol=1e-3, atol=1e-4)


def test_the_expected_map_is_that_of_normal_images_in_the_mean(
    network, evidence, normals
):
    """Least squares with a constant among the terms, if no weight is held at 0."""
    floor = maps.EXPECTATION_FLOOR * evidence.usual_map.mean()
    made = make_maps(("whitened", "whitened-expected"), network, evidence, normals)
    expected = made["whitened"] / made["whitened-expected"] - float(floor)
    assert expected.min() > -1e-3 * expected.max()
    assert expected.mean() == pytest.approx(made["whitened"].mean(), rel=0.05)
    explained = np.square(made["whitened"] - expected).mean()
    assert explained <= made["whitened"].var() * 1.001


def test_feature_distances_of_normal_images_are_about_one(network, evidence, normals):
    names = ("feature-distance", "feature-residual", "feature-residual-fused")
    for name, values in make_maps(names, network, evidence, normals).items():
        assert 0.5 < values.mean() < 1.05, name


def test_there_is_a_tap_for_each_resolution_from_the_finest(network, evidence):
    found = explainer.feature_taps(network, evidence.variables)
    assert found == ("relu1", "relu2")
    resnet = models.resnet18_vae(image_size=64, image_channels=1)
    variables = jax.eval_shape(
        functools.partial(models.init, resnet), key=jax.random.key(0)
    )
    deep = explainer.Explainer(resnet, network.likelihood, identity, identity, "", 1.0)
    found = explainer.feature_taps(deep, variables)
    shapes = attention.taps(resnet, variables, resnet.image_shape)
    assert [shapes[tap][0] for tap in found] == [32, 16, 8, 4]


def test_sampled_normal_difference_is_the_mean_over_the_draws(
    network, evidence, floats, found
):
    draws = jax.random.normal(jax.random.key(0), (ablation.SAMPLES, 4))
    score = attention.normal_difference(evidence.aggregate)

    @jax.jit
    def explain(draw):
        noise = jnp.broadcast_to(draw, (3, 4))
        return attention.attention_maps(
            network.model,
            evidence.variables,
            floats,
            tap=network.tap,
            score=score,
            noise=noise,
        )

    expected = np.mean([explain(draw) for draw in draws], axis=0)
    np.testing.assert_allclose(
        found["normal-difference-sampled"], expected, rtol=1e-3, atol=1e-6
    )


def test_fusion_is_the_mean_of_both(found):
    both = found["whitened-expected"] + found["feature-residual"]
    np.testing.assert_allclose(found["expected-feature-fused"], both / 2, rtol=1e-4)


def test_means_over_batches_count_every_image_once(normals):
    def brightness(images):
        return {"image": images, "sum": images.sum((1, 2, 3))}

    mean = batches.mean_over_batches(brightness, normals, batch_size=32)
    every = batches.over_batches(brightness, normals, batch_size=32)
    assert mean["image"].shape == normals.shape[1:]
    for name, values in every.items():
        np.testing.assert_allclose(mean[name], values.mean(0), rtol=1e-5)


def test_moments_of_channels_are_those_of_numpy():
    activation = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    mean, second = evidence_of._channel_moments(jnp.asarray(activation))
    pixels = activation.reshape(2, -1, 3)
    np.testing.assert_allclose(mean, pixels.mean(1), rtol=1e-5, atol=1e-6)
    expected = np.einsum("bpc,bpd->bcd", pixels, pixels) / 20
    np.testing.assert_allclose(second, expected, rtol=1e-5, atol=1e-6)


def test_residual_times_gradient_is_smoothed_after_the_product(
    network, evidence, floats, found
):
    left = explainer.residual(network, evidence.variables, floats)
    gradient = explainer.input_gradient(network, evidence.variables, floats)
    expected = anomaly.gaussian_blur(jnp.abs(left * gradient).mean(-1), sigma=1.0)
    np.testing.assert_allclose(
        found["residual-x-gradient"], expected, rtol=1e-2, atol=1e-3
    )
