import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import distributions, models

SHAPE = (5, 4, 1)
MODEL = models.PixelVAE(
    models.MLPEncoder((6,), 2),
    models.AutoregressiveDecoder(
        models.MLPDecoder((6,), (5, 4, 3)), SHAPE, features=8, layers=3
    ),
)
KEYS = jax.random.split(jax.random.key(0), 4)
IMAGES = jax.random.uniform(KEYS[0], (2, *SHAPE))
LATENTS = jax.random.normal(KEYS[1], (2, 2))


@pytest.fixture(scope="module")
def variables():
    return models.init(MODEL, key=KEYS[2])


def decode_next(variables, latents, images):
    return MODEL.apply(variables, latents, images, method="decode_next")


@pytest.fixture(scope="module")
def dependence(variables):
    """|d said of pixel i / d pixel j| of one image, [pixel pixel]."""

    def said(image):
        return decode_next(variables, LATENTS[:1], image.reshape(1, *SHAPE)).ravel()

    return np.abs(jax.jit(jax.jacobian(said))(IMAGES[0].ravel()))


def test_a_pixel_depends_on_no_later_one_nor_on_itself(dependence):
    np.testing.assert_array_equal(np.triu(dependence), 0)


def test_a_pixel_depends_on_every_earlier_one_within_reach(dependence):
    """No blind spot: of three layers of reach 1, all within three rows and columns.

    A pixel of a row above is seen through the stack of rows, which is shifted once and
    then grows by one row and by one column to either side with each layer.
    """
    rows, columns = np.divmod(np.arange(20), 4)
    up = rows[:, None] - rows[None]
    right = columns[None] - columns[:, None]
    is_above = (up >= 1) & (up <= 4) & (np.abs(right) <= 3)
    is_left = (up == 0) & (right < 0)
    assert (dependence[is_above | is_left] > 0).all()


def test_a_causal_convolution_is_a_loop_over_its_taps():
    inputs = np.asarray(jax.random.normal(KEYS[0], (1, 4, 5, 2)))
    for is_centred, right in ((True, 1), (False, 0)):
        conv = models.autoregressive.CausalConv(3, (2, 3), is_centred)
        variables = conv.init(KEYS[1], jnp.asarray(inputs))
        kernel = np.asarray(variables["params"]["taps"]["kernel"]).reshape(2, 3, 2, 3)
        expected = np.zeros((4, 5, 3)) + np.asarray(variables["params"]["taps"]["bias"])
        for i, j, row, column in np.ndindex(4, 5, 2, 3):
            y, x = i + row - 1, j + column - 2 + right
            if y >= 0 and 0 <= x < 5:
                expected[i, j] += inputs[0, y, x] @ kernel[row, column]
        found = conv.apply(variables, jnp.asarray(inputs))
        np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)


def test_the_probabilities_of_all_images_sum_to_one():
    shape = (2, 3, 1)
    decoder = models.AutoregressiveDecoder(
        models.MLPDecoder((4,), (2, 3, 2)), shape, features=2, layers=2
    )
    bits = (np.arange(64)[:, None] >> np.arange(6)) & 1
    images = jnp.asarray(bits.reshape(64, *shape), jnp.float32)
    latents = jnp.broadcast_to(jnp.array([0.3, -2.0]), (64, 2))
    variables = decoder.init(KEYS[3], latents, images)
    # So that neighbours matter.
    variables = jax.tree.map(lambda x: 3 * x, variables)
    logits = decoder.apply(variables, latents, images)
    log_prob = distributions.bernoulli_log_prob(images, logits).sum((1, 2, 3))
    np.testing.assert_allclose(jnp.exp(log_prob).sum(), 1, rtol=1e-5)
    assert float(log_prob.std()) > 0.1


def test_samples_follow_what_is_said_of_each_pixel(variables):
    """The last pixel of a draw is one as often as its own logits say, on average."""
    variables = jax.tree.map(lambda x: 2 * x, variables)
    latents = jnp.broadcast_to(LATENTS[0], (4000, 2))
    draw = jax.jit(functools.partial(models.sample_pixels, MODEL))
    images = draw(variables, latents, key=KEYS[3])
    assert set(np.unique(images)) == {0.0, 1.0}
    probability = jax.nn.sigmoid(decode_next(variables, latents, images))
    gap = np.asarray(images - probability).reshape(4000, -1)
    # Of a martingale difference the mean is 0, with a variance of p (1 - p).
    error = np.sqrt(np.asarray(probability * (1 - probability)).mean(0).ravel() / 4000)
    assert (np.abs(gap.mean(0)) < 5 * error).all()


def test_a_mixture_of_logistics_is_drawn_in_colour():
    shape = (2, 2, 3)
    model = models.PixelVAE(
        models.MLPEncoder((4,), 2),
        models.AutoregressiveDecoder(
            models.MLPDecoder((4,), (2, 2, 2)), shape, outputs=20, features=2, layers=1
        ),
    )
    draw = functools.partial(
        distributions.sample_discretised_logistic_mixture, channels=3
    )
    variables = models.init(model, key=KEYS[2])
    images = models.sample_pixels(model, variables, LATENTS, key=KEYS[3], draw=draw)
    assert images.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(images * 255, np.round(images * 255), atol=1e-4)


def test_the_output_is_that_of_encoder_and_decoder(variables):
    noise = jnp.ones((2, 2))
    output = MODEL.apply(variables, IMAGES, noise=noise)
    np.testing.assert_allclose(
        output.latents, output.mean + jnp.exp(output.logvar / 2), rtol=1e-6
    )
    decoded = decode_next(variables, output.latents, IMAGES)
    np.testing.assert_allclose(output.decoded, decoded, rtol=1e-6)


def test_it_is_not_decoded_without_pixels(variables):
    with pytest.raises(ValueError, match="got no images; draw them by"):
        MODEL.apply(variables, LATENTS, method="decode")
