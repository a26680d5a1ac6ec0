import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.models.conv import ConvDecoder, ConvEncoder, halved_sizes

ENCODER = ConvEncoder((4, 6), hidden=8, latents=3)
IMAGES = jax.random.uniform(jax.random.key(0), (2, 9, 8, 1))


def _init(encoder):
    return {"params": encoder.init(jax.random.key(1), IMAGES)["params"]}


def test_halved_sizes_known_answers():
    assert halved_sizes(28, times=2) == (28, 14, 7)
    assert halved_sizes(100, times=3) == (100, 50, 25, 12)
    assert halved_sizes(4, times=2) == (4, 2, 1)


def test_halved_sizes_names_the_sizes_that_do_not_fit():
    with pytest.raises(
        ValueError,
        match=r"^halved_sizes: 4 halvings want images of at least 16x16 pixels, got a "
        r"side of 15; [^\n]*$",
    ):
        halved_sizes(15, times=4)


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(8, 40), width=st.integers(8, 40), channel=st.sampled_from([1, 3])
)
def test_decoder_draws_every_size_and_starts_where_the_encoder_ends(
    height, width, channel
):
    decoder = ConvDecoder((2, 2, 2), hidden=4, image_shape=(height, width, channel))
    encoder = ConvEncoder((2, 2, 2), hidden=4, latents=3)
    images = jax.ShapeDtypeStruct((5, height, width, channel), jnp.float32)
    latents = jax.ShapeDtypeStruct((5, 3), jnp.float32)
    decoded, decoder_variables = jax.eval_shape(
        decoder.init_with_output, jax.random.key(0), latents
    )
    encoder_variables = jax.eval_shape(encoder.init, jax.random.key(0), images)
    assert decoded.shape == images.shape
    assert (
        decoder_variables["params"]["features"]["kernel"].shape[::-1]
        == encoder_variables["params"]["hidden"]["kernel"].shape
    )


@pytest.mark.parametrize("norm", [None, "batch", "group"])
def test_encoder_taps(norm):
    variables = jax.eval_shape(
        ENCODER.clone(norm=norm).init, jax.random.key(0), jnp.zeros((2, 16, 16, 1))
    )
    shapes = {name: x.shape for name, x in variables["perturbations"].items()}
    assert shapes == {
        "conv1": (2, 8, 8, 4),
        "relu1": (2, 8, 8, 4),
        "conv2": (2, 4, 4, 6),
        "relu2": (2, 4, 4, 6),
        "relu2_channels": (2, 6),
    }


def test_tapped_values_are_before_and_after_the_rectifier():
    _, state = ENCODER.apply(_init(ENCODER), IMAGES, mutable=["intermediates"])
    taps = state["intermediates"]
    assert taps["conv1"].min() < 0
    np.testing.assert_array_equal(taps["relu1"], np.maximum(taps["conv1"], 0))
    assert set(taps) == {"conv1", "relu1", "conv2", "relu2"}


def _score(perturbations):
    mean, logvar = ENCODER.apply(
        {**_init(ENCODER), "perturbations": perturbations}, IMAGES
    )
    return jnp.sum(mean**2) + jnp.sum(jnp.sin(logvar))


def _perturbations(**perturbed):
    names = ("conv1", "relu1", "conv2", "relu2", "relu2_channels")
    return dict.fromkeys(names, jnp.zeros(())) | perturbed


def test_channel_gradient_is_the_spatial_sum_of_the_full_gradient():
    full = jax.grad(lambda x: _score(_perturbations(relu2=x)))(jnp.zeros((2, 2, 2, 6)))
    by_channel = jax.grad(lambda x: _score(_perturbations(relu2_channels=x)))(
        jnp.zeros((2, 6))
    )
    assert jnp.abs(by_channel).max() > 1e-3
    np.testing.assert_allclose(by_channel, full.sum((1, 2)), rtol=1e-5, atol=1e-7)


def test_channel_perturbation_shifts_the_activation():
    shift = jax.random.normal(jax.random.key(2), (2, 6))
    np.testing.assert_allclose(
        _score(_perturbations(relu2_channels=shift)),
        _score(_perturbations(relu2=shift[:, None, None, :])),
        rtol=1e-5,
    )


def test_encoder_refuses_images_that_do_not_last():
    with pytest.raises(ValueError, match="at least 4x4 pixels, got a side of 3"):
        jax.eval_shape(ENCODER.init, jax.random.key(0), jnp.zeros((1, 8, 3, 1)))


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_an_image_is_encoded_alike_alone_and_in_a_batch(norm):
    encoder = ENCODER.clone(norm=norm)
    variables = encoder.init(jax.random.key(0), IMAGES)
    variables.pop("perturbations")
    together = encoder.apply(variables, IMAGES)
    alone = encoder.apply(variables, IMAGES[1:])
    np.testing.assert_allclose(together.mean[1:], alone.mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(together.logvar[1:], alone.logvar, rtol=1e-4, atol=1e-6)
