"""Facts about sharpness, with known answers."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from vae_jax.metrics import sharpness

BOARD = (np.indices((16, 16)).sum(0) % 2).astype(np.float32)[None, ..., None]


def noise(seed=0, count=4, side=32):
    return np.random.default_rng(seed).random((count, side, side, 1), np.float32)


def blurred(images, sigma):
    return scipy.ndimage.gaussian_filter(images, (0, sigma, sigma, 0))


def test_a_plane_is_flat_and_a_checkerboard_is_not():
    rows, columns = np.indices((16, 16)) / 30
    plane = (rows + 0.5 * columns)[None, ..., None].astype(np.float32)
    np.testing.assert_allclose(sharpness.laplacian_variance(plane), 0, atol=1e-12)
    np.testing.assert_allclose(sharpness.laplacian_variance(BOARD), 16, rtol=1e-6)


def test_half_the_contrast_has_a_quarter_of_the_variance():
    half = sharpness.relative_sharpness(0.5 * BOARD + 0.2, BOARD)
    np.testing.assert_allclose(half, 0.25, rtol=1e-5)
    np.testing.assert_allclose(sharpness.relative_sharpness(BOARD, BOARD), 1)


def test_the_variance_of_white_noise_is_20_times_its_own():
    """Of independent pixels: 4² + 4 · 1²."""
    found = sharpness.laplacian_variance(noise(count=1, side=256))
    np.testing.assert_allclose(found, 20 / 12, rtol=0.03)


def test_equals_scipys_laplacian():
    images = noise()
    inner = [scipy.ndimage.laplace(x[..., 0].astype(float))[1:-1, 1:-1] for x in images]
    np.testing.assert_allclose(
        sharpness.laplacian_variance(images), [x.var() for x in inner], rtol=1e-5
    )


def of_power(exponent, side=64, count=64, seed=0):
    """Random fields whose power is frequency**exponent, scaled into [0, 1]."""
    random = np.random.default_rng(seed)
    white = np.fft.fft2(random.normal(size=(count, side, side)))
    frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(side)]))
    frequency[0, 0] = np.inf
    fields = np.fft.ifft2(white * frequency ** (exponent / 2)).real
    scaled = 0.5 + 0.08 * fields / fields.std()
    return scaled[..., None].astype(np.float32).clip(0, 1)


@pytest.mark.parametrize("exponent", [0.0, -1.0, -2.0, -3.0])
def test_the_slope_of_a_power_law_is_its_exponent(exponent):
    slopes = np.asarray(sharpness.spectral_slope(of_power(exponent)))
    assert slopes.mean() == pytest.approx(exponent, abs=0.15)


def test_contrast_and_brightness_do_not_change_a_slope():
    images = of_power(-2.0, count=4)
    np.testing.assert_allclose(
        sharpness.spectral_slope(0.5 * images + 0.2),
        sharpness.spectral_slope(images),
        atol=1e-3,
    )


def test_the_blurrier_the_steeper_and_the_flatter():
    images = noise()
    slopes, kept = zip(
        *(
            (
                float(sharpness.spectral_slope(blurred(images, sigma)).mean()),
                float(sharpness.relative_sharpness(blurred(images, sigma), images)),
            )
            for sigma in (0, 0.5, 1, 2)
        ),
        strict=True,
    )
    assert list(slopes) == sorted(slopes, reverse=True)
    assert list(kept) == sorted(kept, reverse=True)


def test_flat_images_have_no_slope():
    flat = np.full((1, 16, 16, 1), 0.3, np.float32)
    np.testing.assert_allclose(sharpness.spectral_slope(flat), 0, atol=1e-2)


def test_psnr_known_answers():
    x = np.full((2, 8, 8, 1), 0.5, np.float32)
    y = x + np.array([0.1, 0.01], np.float32).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(sharpness.psnr(x, y), [20, 40], rtol=1e-4)
    assert jnp.isinf(sharpness.psnr(x, x)).all()


def test_bad_images_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^laplacian_variance: .* 3 pixels .* 2x8"):
        sharpness.laplacian_variance(np.zeros((1, 2, 8, 1), np.float32))
    with pytest.raises(ValueError, match=r"^spectral_slope: images must be square"):
        sharpness.spectral_slope(np.zeros((1, 9, 8, 1), np.float32))
    with pytest.raises(ValueError, match=r"^psnr: images must be in \[0, 1\]"):
        sharpness.psnr(255 * BOARD, 255 * BOARD)
