"""Facts about anomaly maps, image scores and thresholds."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vae_jax import anomaly


def random_maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_residuals_by_hand():
    images = jnp.array([[[[1.0, 4.0]]]])
    reconstructions = jnp.array([[[[3.0, 3.0]]]])
    gradient = jnp.array([[[[-5.0, 2.0]]]])
    assert anomaly.absolute_residual(images, reconstructions).item() == 1.5
    assert anomaly.squared_residual(images, reconstructions).item() == 2.5
    product = anomaly.residual_times_gradient(images - reconstructions, gradient)
    assert product.item() == (2 * 5 + 1 * 2) / 2


@pytest.mark.parametrize(
    "name", ["absolute_residual", "squared_residual", "residual_times_gradient"]
)
def test_grey_and_colour_do_not_broadcast(name):
    # Unwrapped, because the shape checks of the test run would speak first.
    unchecked = inspect.unwrap(getattr(anomaly, name))
    grey, colour = np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4, 3))
    with pytest.raises(ValueError, match=rf"{name}: .* equal shapes, got .*4, 1\) and"):
        unchecked(grey, colour)


# A sigma of 8 reaches 32 pixels: the reflections of a map of 7 fold several times.
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3, 8.0])
@pytest.mark.parametrize("shape", [(2, 7, 12), (2, 7, 12, 3)])
def test_blur_equals_scipy(sigma, shape):
    maps = random_maps(*shape)
    sigmas = (0, sigma, sigma) + (0,) * (len(shape) - 3)
    np.testing.assert_allclose(
        anomaly.gaussian_blur(maps, sigma=sigma),
        ndimage.gaussian_filter(maps, sigmas, mode="reflect", truncate=4),
        atol=1e-6,
    )


def test_blur_keeps_sums_and_flat_maps():
    maps = random_maps(3, 9, 6)
    blurred = anomaly.gaussian_blur(maps, sigma=1.7)
    np.testing.assert_allclose(blurred.sum((1, 2)), maps.sum((1, 2)), atol=1e-5)
    assert float(blurred.var()) < maps.var() / 4
    flat = np.full((1, 5, 5), 3.0, np.float32)
    np.testing.assert_allclose(anomaly.gaussian_blur(flat, sigma=2.0), flat, rtol=1e-6)


def test_blur_of_sigma_zero_is_the_identity():
    maps = random_maps(2, 4, 5)
    np.testing.assert_array_equal(anomaly.gaussian_blur(maps, sigma=0.0), maps)


def test_blur_keeps_the_type():
    maps = jnp.ones((1, 4, 4), jnp.bfloat16)
    assert anomaly.gaussian_blur(maps, sigma=1.0).dtype == jnp.bfloat16


def test_image_score_goes_from_the_maximum_to_the_mean():
    maps = jnp.array([[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]])
    for fraction, expected in [(0.0, [6, 4]), (0.5, [4.5, 2]), (1.0, [3, 1])]:
        score = anomaly.image_score(maps, top_fraction=fraction)
        np.testing.assert_allclose(score, expected)


def test_image_score_is_the_same_alone_and_in_a_batch():
    maps = random_maps(4, 6, 6)
    together = anomaly.image_score(maps, top_fraction=0.1)
    alone = [anomaly.image_score(maps[i : i + 1], top_fraction=0.1) for i in range(4)]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_threshold_flags_the_share_of_normals_that_was_asked_for():
    maps = jax.random.uniform(jax.random.key(0), (4, 50, 50))
    threshold = anomaly.threshold_from_normals(maps, quantile=0.99)
    np.testing.assert_allclose(threshold, 0.99, atol=5e-3)
    flagged = anomaly.anomaly_masks(maps, threshold=threshold)
    assert float(flagged.mean()) == pytest.approx(0.01, abs=1e-4)


def test_masks_include_the_threshold():
    masks = anomaly.anomaly_masks(jnp.array([[[0.9, 1.0, 1.1]]]), threshold=1.0)
    assert masks.tolist() == [[[False, True, True]]]


def test_colour_limits_by_hand():
    normals = jnp.arange(101.0).reshape(1, 1, 101)
    limits = anomaly.colour_limits(normals, quantile=0.9, shown_at=0.25)
    assert limits == pytest.approx((50, 50 + (90 - 50) / 0.25))


def test_colour_limits_of_flat_normals_still_have_an_extent():
    limits = anomaly.colour_limits(jnp.zeros((2, 3, 3)))
    assert limits.high > limits.low == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda maps: anomaly.gaussian_blur(maps, sigma=-1.0), r"gaussian_blur: .*-1"),
        (lambda maps: anomaly.gaussian_blur(maps, sigma=float("nan")), "got nan"),
        (lambda maps: anomaly.image_score(maps, top_fraction=1.1), r"got 1\.1"),
        (lambda maps: anomaly.threshold_from_normals(maps, quantile=99.0), "got 99"),
        (lambda maps: anomaly.colour_limits(maps, shown_at=0.0), r"got 0\.0"),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((1, 4, 4)))


def test_local_contrast_of_a_wave_is_what_the_blur_takes_of_it():
    """A blur of sigma passes exp(-(sigma w)^2 / 2) of a wave of frequency w."""
    wave = np.cos(2 * np.pi * np.arange(64) / 8, dtype=np.float32)
    image = np.broadcast_to(wave[None, None, :, None], (1, 64, 64, 1))
    contrast = anomaly.local_contrast(image, detail=1.0, window=4.0)
    taken = 1 - np.exp(-0.5 * (2 * np.pi / 8) ** 2)
    np.testing.assert_allclose(contrast[0, 20:44, 20:44], taken / np.sqrt(2), rtol=1e-2)
    flat = anomaly.local_contrast(np.ones_like(image), detail=1.0, window=4.0)
    np.testing.assert_allclose(flat, 0.0, atol=1e-6)
