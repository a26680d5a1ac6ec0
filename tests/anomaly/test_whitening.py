"""Facts about whitening and about calibration by the place."""

import numpy as np

from vae_jax import anomaly


def random_maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_spectrum_is_the_mean_power_of_mean_one():
    spectrum = anomaly.normal_spectrum(random_maps(4, 8, 6, 2))
    assert spectrum.shape == (8, 6, 2)
    np.testing.assert_allclose(spectrum.mean((0, 1)), 1.0, atol=2e-4)


def test_spectrum_does_not_depend_on_contrast_or_place():
    residuals = random_maps(4, 8, 6, 1)
    expected = anomaly.normal_spectrum(residuals)
    for same in (3.0 * residuals, np.roll(residuals, (3, 2), axis=(1, 2))):
        np.testing.assert_allclose(anomaly.normal_spectrum(same), expected, rtol=1e-4)


def test_spectrum_of_one_wave_is_a_gaussian_of_one_bin_at_its_frequency():
    wave = np.cos(2 * np.pi * 8 * np.arange(32) / 32)[None, None, :, None]
    spectrum = anomaly.normal_spectrum(np.broadcast_to(wave, (1, 32, 32, 1)))[:, :, 0]
    assert np.unravel_index(spectrum.argmax(), spectrum.shape) in ((0, 8), (0, 24))
    neighbour = (spectrum[0, 9] - 1e-4) / (spectrum[0, 8] - 1e-4)
    np.testing.assert_allclose(neighbour, np.exp(-0.5), rtol=1e-2)


def test_half_a_power_makes_the_residuals_white_and_none_changes_nothing():
    residuals = random_maps(1, 16, 16, 1)
    smooth = np.asarray(anomaly.gaussian_blur(residuals, sigma=1.0))
    power = np.square(np.abs(np.fft.fft2(smooth, axes=(1, 2)))).mean(0)
    white = anomaly.whiten(smooth, power.astype(np.float32), exponent=0.5)
    np.testing.assert_allclose(np.abs(np.fft.fft2(white, axes=(1, 2))), 1.0, rtol=1e-2)
    same = anomaly.whiten(smooth, power.astype(np.float32), exponent=0.0)
    np.testing.assert_allclose(same, smooth, atol=1e-6)


def test_whitening_by_a_flat_spectrum_is_a_division():
    values, flat = random_maps(2, 6, 5, 1), np.full((6, 5, 1), 16.0, np.float32)
    np.testing.assert_allclose(anomaly.whiten(values, flat), values / 2, atol=1e-6)


def test_calibration_divides_by_what_is_usual_at_a_pixel():
    maps = np.ones((1, 4, 4), np.float32)
    usual = np.full((4, 4), 2.0, np.float32)
    usual[0, 0] = 6.0  # the mean is 2.25
    found = anomaly.calibrate(maps, usual, sigma=0.0, floor=2.0)
    np.testing.assert_allclose(found[0, 0, 0], 1 / (6.0 + 4.5), rtol=1e-6)
    np.testing.assert_allclose(found[0, 1:], 1 / (2.0 + 4.5), rtol=1e-6)
