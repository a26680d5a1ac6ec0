"""Facts about structural similarity."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses

EACH_WINDOW = pytest.mark.parametrize("window", ["gaussian", "uniform"])
C1, C2 = 0.01, 0.03


def pictures(seed, shape=(2, 16, 13, 1)):
    return jnp.asarray(np.random.default_rng(seed).random(shape), jnp.float32)


def by_hand(x, y, window, *, c1=C1, c2=C2):
    """One window after the other, in float64, by the definition of the moments."""
    x, y = (
        np.pad(a.astype(np.float64), ((0, 0), (5, 5), (5, 5), (0, 0)), "symmetric")
        for a in (np.asarray(x), np.asarray(y))
    )
    taps = np.ones(11)
    if window == "gaussian":
        taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(taps, taps) / taps.sum() ** 2
    n, rows, columns, channels = x.shape
    result = np.zeros((n, rows - 10, columns - 10, channels))
    for index in itertools.product(*map(range, result.shape)):
        i, r, c, k = index
        p, q = (a[i, r : r + 11, c : c + 11, k] for a in (x, y))
        p_mean, q_mean = (weights * p).sum(), (weights * q).sum()
        p_variance = (weights * (p - p_mean) ** 2).sum()
        q_variance = (weights * (q - q_mean) ** 2).sum()
        covariance = (weights * (p - p_mean) * (q - q_mean)).sum()
        luminance = (2 * p_mean * q_mean + c1) / (p_mean**2 + q_mean**2 + c1)
        structure = (2 * covariance + c2) / (p_variance + q_variance + c2)
        result[index] = luminance * structure
    return result.mean(-1)


@EACH_WINDOW
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_a_loop_over_windows(window, channels):
    x, y = (pictures(seed, (2, 16, 13, channels)) for seed in (0, 1))
    maps = losses.ssim_map(x, y, window=window)
    np.testing.assert_allclose(maps, by_hand(x, y, window), atol=2e-5)


@EACH_WINDOW
def test_equals_the_loop_with_the_constants_of_wang_et_al(window):
    x = pictures(0)
    y = 0.9 * x + 0.1 * pictures(1)
    constants = {"c1": 0.01**2, "c2": 0.03**2}
    maps = losses.ssim_map(x, y, window=window, **constants)
    np.testing.assert_allclose(maps, by_hand(x, y, window, **constants), atol=1e-4)


@EACH_WINDOW
def test_identical_images_have_similarity_one_and_no_loss(window):
    x = pictures(0)
    np.testing.assert_array_equal(losses.ssim_map(x, x, window=window), 1)
    np.testing.assert_array_equal(losses.ssim_loss(x, x, window=window), 0)


@EACH_WINDOW
@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.25, 0.75), (0.6, 0.5)])
def test_flat_images_leave_luminance_alone(window, a, b, rounding):
    luminance = (2 * a * b + C1) / (a**2 + b**2 + C1)
    with jax.enable_x64(True):
        x, y = (jnp.full((1, 14, 12, 1), level, jnp.float64) for level in (a, b))
        maps = losses.ssim_map(x, y, window=window)
        loss = losses.ssim_loss(x, y, window=window)
    # The variances and twice the covariance, differences of a² + b² and 2 a b after two
    # passes of under 10 roundings, should be 0 and are compared with C2.
    error = rounding(2 * (a**2 + b**2) / C2, 100 + 168, dtype=np.float64)
    np.testing.assert_allclose(maps, luminance, rtol=0, atol=error)
    np.testing.assert_allclose(loss, 1 - luminance, rtol=0, atol=error)


def test_a_constant_shift_changes_luminance_alone():
    x, shift = 0.5 * pictures(0), 0.3
    mean = losses.ssim_map(x, x * 0, c1=1.0, c2=1e9)  # 1 / (mean² + 1)
    mean = np.sqrt(1 / np.asarray(mean) - 1)
    luminance = (2 * mean * (mean + shift) + C1) / (mean**2 + (mean + shift) ** 2 + C1)
    np.testing.assert_allclose(losses.ssim_map(x, x + shift), luminance, atol=1e-4)


@EACH_WINDOW
def test_a_checkerboard_and_its_negative(window):
    """Mean 1/2 nearly, covariance the negative of the variance: far from the edge."""
    board = (np.indices((24, 24)).sum(0) % 2).astype(np.float32)[None, ..., None]
    maps = losses.ssim_map(jnp.asarray(board), jnp.asarray(1 - board), window=window)
    expected = (-2 * 0.25 + C2) / (2 * 0.25 + C2)
    # An 11x11 window holds 61 of one colour and 60 of the other.
    np.testing.assert_allclose(maps[0, 6:-6, 6:-6], expected, atol=1e-3)


@EACH_WINDOW
def test_is_symmetric_and_within_its_bounds(window):
    x, y = pictures(0), pictures(1)
    one, other = (
        np.asarray(losses.ssim_map(*pair, window=window)) for pair in ((x, y), (y, x))
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert one.min() >= -1
    assert one.max() < 1


def test_a_pixel_is_felt_as_far_as_the_window_reaches():
    x = np.full((1, 32, 32, 1), 0.5, np.float32)
    spot = x.copy()
    spot[0, 16, 12] = 1
    changed = np.asarray(losses.ssim_map(jnp.asarray(x), jnp.asarray(spot)))[0] < 1
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max()) == (11, 21)
    assert (columns.min(), columns.max()) == (7, 17)


def test_loss_is_the_mean_over_pixels_of_each_image():
    x, y = pictures(0), pictures(1)
    loss = losses.ssim_loss(x, y, window="uniform")
    np.testing.assert_allclose(
        loss, 1 - losses.ssim_map(x, y, window="uniform").mean((1, 2)), rtol=1e-6
    )
    np.testing.assert_allclose(
        losses.ssim_loss(x[1:], y[1:], window="uniform"), loss[1:], rtol=1e-6
    )


def test_gradient_descent_leads_back_to_the_image():
    x = pictures(0, (1, 16, 16, 1))
    y = x + 0.2 * (pictures(1, (1, 16, 16, 1)) - 0.5)
    step = jax.jit(
        jax.value_and_grad(lambda y: losses.ssim_loss(x, y, c1=1e-4, c2=9e-4).sum())
    )
    first, gradient = step(y)
    for _ in range(30):
        loss, gradient = step(y)
        y = y - 4.0 * gradient
    assert 0 <= loss < 0.1 * first


def test_half_precision_is_compared_in_single():
    x, y = (pictures(seed).astype(jnp.bfloat16) for seed in (0, 1))
    maps = losses.ssim_map(x, y)
    assert maps.dtype == jnp.float32
    single = losses.ssim_map(x.astype(jnp.float32), y.astype(jnp.float32))
    np.testing.assert_array_equal(maps, single)


def test_shapes_must_be_equal():
    # Unwrapped, because the shape checks of the test run would speak first.
    unchecked = inspect.unwrap(losses.ssim_map)
    grey, colour = pictures(0), pictures(1, (2, 16, 13, 3))
    with pytest.raises(ValueError, match=r"^ssim_map: .* equal shapes, got .*13, 1\)"):
        unchecked(grey, colour)


def test_an_unknown_window_is_refused():
    x = pictures(0)
    wanted = "^ssim_map: window must be one of gaussian, uniform, got 'box'"
    with pytest.raises(ValueError, match=wanted):
        inspect.unwrap(losses.ssim_map)(x, x, window="box")


@pytest.mark.parametrize("which", [0, 1])
def test_images_of_8_bits_are_no_intensities(which):
    pair = [jnp.zeros((1, 16, 16, 1))] * 2
    pair[which] = jnp.zeros((1, 16, 16, 1), jnp.uint8)
    wanted = "^ssim_map: images must be floating-point, got uint8; divide 8-bit"
    with pytest.raises(ValueError, match=wanted):
        inspect.unwrap(losses.ssim_map)(*pair)


def test_intensities_up_to_255_are_refused():
    images = jnp.full((1, 16, 16, 1), 200.0)
    with pytest.raises(ValueError, match=r"^ssim_map: images must be in \[0, 1\]"):
        losses.ssim_map(images, images)
