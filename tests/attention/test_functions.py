"""The model that `from_functions` makes, of functions short enough to do by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import attention

IMAGE_SHAPE = (8, 12, 2)
IMAGES = jnp.arange(192.0).reshape(1, *IMAGE_SHAPE) / 192
VARIABLES = {"params": jnp.float32(2.0)}


def scaled(params, images):
    return images * params


def mean_and_peak(params, x):
    return x.mean((1, 2)), x.max((1, 2))


def test_one_function_is_the_tap_features_and_any_tree_its_parameters():
    model = attention.from_functions(scaled, mean_and_peak)
    assert attention.taps(model, VARIABLES, IMAGE_SHAPE) == {
        "input": IMAGE_SHAPE,
        "features": IMAGE_SHAPE,
    }
    maps = attention.attention_maps(model, VARIABLES, IMAGES, tap="features")
    # Latent c is the mean of channel c, a slope of 1 / 96 at each of its pixels.
    expected = 2 * jnp.moveaxis(IMAGES, -1, 1) / 96
    np.testing.assert_allclose(maps, expected, rtol=1e-5)


def test_functions_see_the_tree_that_was_handed_over():
    seen = []

    def features(params, images):
        seen.append(params)
        return images

    model = attention.from_functions(features, mean_and_peak)
    tree = {"weights": [jnp.ones(2), {}], "none": None}
    model.apply({"params": tree}, IMAGES, method="encode")
    assert type(seen[0]) is dict
    assert jax.tree.structure(seen[0]) == jax.tree.structure(tree)


def test_models_of_the_same_functions_are_equal():
    first, second = (attention.from_functions(scaled, mean_and_peak) for _ in "ab")
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize("name", ["input", "relu_channels"])
def test_a_tap_with_another_meaning_is_refused(name):
    with pytest.raises(ValueError, match=f"a tap may not be called '{name}': 'input' "):
        attention.from_functions(dict.fromkeys(("relu", name), scaled), mean_and_peak)


@pytest.mark.parametrize(
    ("found", "got"),
    [
        (jnp.zeros((2, 2)), r"\(2, 2\)"),  # Would unpack into two rows.
        ({"mean": jnp.zeros((1, 3))}, r"\{'mean': \(1, 3\)\}"),
        ((jnp.zeros((1, 3)),), r"\(\(1, 3\),\)"),
        ((jnp.zeros((1, 3)), jnp.zeros((1, 1))), r"\(\(1, 3\), \(1, 1\)\)"),
        ((jnp.zeros(3), jnp.zeros(3)), r"\(\(3,\), \(3,\)\)"),
    ],
)
def test_a_posterior_of_other_shapes_is_refused(found, got):
    model = attention.from_functions(scaled, lambda params, x: found)
    wanted = rf"^from_functions: posterior must return mean and log-.*, got {got}; spl"
    with pytest.raises(ValueError, match=wanted):
        model.apply(VARIABLES, IMAGES, method="encode")


def test_a_score_that_decodes_wants_a_decoder():
    model = attention.from_functions(scaled, mean_and_peak)
    score = attention.reconstruction_error(lambda images, decoded: decoded)
    with pytest.raises(ValueError, match=r"score decodes latents, but .* no decode; "):
        attention.tap_gradient(model, VARIABLES, IMAGES, tap="input", score=score)


def test_layers_are_those_of_linen_alone():
    model = attention.from_functions(scaled, mean_and_peak)
    with pytest.raises(TypeError, match="layers: a model of from_functions has no mod"):
        attention.layers(model, VARIABLES, IMAGE_SHAPE)
