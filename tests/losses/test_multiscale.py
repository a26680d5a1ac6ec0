"""Facts about multi-scale structural similarity."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from vae_jax import losses

C1, C2 = 0.01**2, 0.03**2
WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
EXACT = jax.jit(losses.ms_ssim, static_argnames=("scales",))


def pictures(seed, side=44, channels=1):
    """Blobs, with detail at every scale."""
    noise = np.random.default_rng(seed).random((2, side, side, channels))
    smooth = [scipy.ndimage.gaussian_filter(noise, (0, s, s, 0)) for s in (0, 1, 3)]
    image = sum((a - a.min()) / np.ptp(a) for a in smooth) / 3
    return jnp.asarray(image, jnp.float32)


def moments(x, y):
    """By scipy's own filter, in float64; "reflect" repeats the pixel at the edge."""

    def mean(a):
        options = {"sigma": 1.5, "mode": "reflect", "radius": 5}
        for axis in (0, 1):
            a = scipy.ndimage.gaussian_filter1d(a, axis=axis, **options)
        return a

    mean_x, mean_y = mean(x), mean(y)
    squares = mean_x**2 + mean_y**2
    luminance = (2 * mean_x * mean_y + C1) / (squares + C1)
    covariance = mean(x * y) - mean_x * mean_y
    variances = mean(x**2) + mean(y**2) - squares
    return luminance, (2 * covariance + C2) / (variances + C2)


def halve(x):
    """A mean over pixels and their right and lower neighbours, every other one kept."""
    kernel = np.full((2, 2), 0.25)
    return scipy.ndimage.correlate(x, kernel, mode="nearest", origin=-1)[::2, ::2]


def by_hand(x, y, scales):
    weights = WEIGHTS[:scales] / WEIGHTS[:scales].sum()
    found = 1.0
    for scale, weight in enumerate(weights, 1):
        luminance, contrast = moments(x, y)
        if scale == scales:
            contrast = contrast * luminance
        found *= contrast.mean() ** weight
        x, y = halve(x), halve(y)
    return found


@pytest.mark.parametrize(("side", "scales"), [(44, 3), (45, 3), (28, 2), (21, 1)])
def test_equals_scipys_filters_in_double(side, scales):
    x = pictures(0, side)
    y = 0.8 * x + 0.2 * pictures(1, side)
    expected = [
        by_hand(*(np.asarray(a[i, ..., 0], np.float64) for a in (x, y)), scales)
        for i in range(2)
    ]
    np.testing.assert_allclose(EXACT(x, y, scales=scales), expected, atol=2e-5)


def test_five_scales_are_the_published_weights():
    x = pictures(0, 176)
    y = 0.5 * x + 0.5 * pictures(1, 176)
    expected = by_hand(*(np.asarray(a[0, ..., 0], np.float64) for a in (x, y)), 5)
    np.testing.assert_allclose(EXACT(x, y)[0], expected, atol=2e-5)


def test_flat_images_leave_the_coarsest_luminance_alone():
    a, b = 0.25, 0.75
    luminance = (2 * a * b + C1) / (a**2 + b**2 + C1)
    x, y = (jnp.full((1, 44, 44, 1), level) for level in (a, b))
    weight = WEIGHTS[2] / WEIGHTS[:3].sum()
    # Rounded differences of means, which should be 0, are compared with C2.
    found = EXACT(x, y, scales=3)[0]
    np.testing.assert_allclose(found, luminance**weight, rtol=1e-3)


def test_identical_images_have_similarity_one_and_no_loss():
    x = pictures(0)
    np.testing.assert_allclose(EXACT(x, x, scales=3), 1, rtol=1e-6)
    np.testing.assert_allclose(losses.ms_ssim_loss(x, x, scales=3), 0, atol=1e-6)


def test_one_scale_with_these_constants_is_ssim():
    x = pictures(0)
    y = 0.5 * x + 0.5 * pictures(1)
    single = 1 - losses.ssim_loss(x, y, c1=C1, c2=C2)
    np.testing.assert_allclose(EXACT(x, y, scales=1), single, rtol=1e-5)


def test_channels_are_averaged_and_the_arguments_may_be_swapped():
    x, y = pictures(0, channels=3), pictures(1, channels=3)
    found = EXACT(x, y, scales=3)
    each = [EXACT(x[..., k, None], y[..., k, None], scales=3) for k in range(3)]
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-5)
    np.testing.assert_allclose(found, EXACT(y, x, scales=3), rtol=1e-5)


def test_an_image_is_compared_as_if_it_were_alone():
    x, y = pictures(0), pictures(1)
    alone = EXACT(x[1:], y[1:], scales=3)
    np.testing.assert_allclose(EXACT(x, y, scales=3)[1:], alone, rtol=1e-6)


def test_a_negative_has_the_least_similarity_and_no_nan():
    """Its structure is negative, and 0.3 is no power of a negative number."""
    x = pictures(0)

    def loss(y):
        return losses.ms_ssim_loss(x, y, scales=3).sum()

    value, gradient = jax.value_and_grad(loss)(1 - x)
    np.testing.assert_allclose(value, 2 * (1 - 1e-3), rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_a_picture_is_found_from_noise():
    """Whose contrast has nothing to do with that of the picture, and no power."""
    x = (np.indices((22, 22)).sum(0) % 8 < 4).astype(np.float32)[None, ..., None]
    x, y = jnp.asarray(x), jax.random.uniform(jax.random.key(0), (1, 22, 22, 1))
    step = jax.jit(
        jax.value_and_grad(lambda y: losses.ms_ssim_loss(x, y, scales=2).sum())
    )
    first, gradient = step(y)
    assert first > 0.95
    for _ in range(60):
        _, gradient = step(y)
        y = (y - 0.1 * jnp.sign(gradient)).clip(0, 1)
    assert losses.ms_ssim_loss(x, y, scales=2)[0] < 0.5


def test_gradient_descent_leads_back_to_the_image():
    x = pictures(0)
    y = 0.7 * x + 0.3 * pictures(1)
    step = jax.jit(
        jax.value_and_grad(lambda y: losses.ms_ssim_loss(x, y, scales=3).sum())
    )
    first, _ = step(y)
    for _ in range(30):
        loss, gradient = step(y)
        y = y - 2.0 * gradient
    assert 0 <= loss < 0.3 * first


@pytest.mark.parametrize(
    ("side", "scales", "advice"),
    [(28, 5, "take scales=2"), (160, 5, "take scales=4"), (9, 1, "enlarge them")],
)
def test_images_too_small_for_the_scales_are_refused_by_name(side, scales, advice):
    x = jnp.zeros((1, side, side, 1))
    wanted = rf"^ms_ssim: images of {scales} scales .*, got {side}x{side}; {advice}"
    with pytest.raises(ValueError, match=wanted):
        losses.ms_ssim(x, x, scales=scales)


@pytest.mark.parametrize(
    ("rows", "columns", "scales"),
    [(10, 99, 0), (11, 11, 1), (21, 99, 2), (20, 20, 1), (161, 161, 5), (160, 999, 4)],
)
def test_every_scale_has_room_for_a_window(rows, columns, scales):
    """11, 21, 41, 81, 161: the last pixel of an odd number counts twice."""
    assert losses.scales_of(rows, columns) == scales


@pytest.mark.parametrize("scales", [0, 6])
def test_there_are_five_scales(scales):
    x = jnp.zeros((1, 44, 44, 1))
    with pytest.raises(ValueError, match=rf"scales must be from 1 to 5, got {scales}"):
        losses.ms_ssim(x, x, scales=scales)


def test_images_of_8_bits_and_of_other_shapes_are_refused():
    unchecked = inspect.unwrap(losses.ms_ssim)
    bits, images = jnp.zeros((1, 44, 44, 1), jnp.uint8), jnp.zeros((1, 44, 44, 1))
    for pair in ((bits, images), (images, bits)):
        with pytest.raises(
            ValueError, match=r"^ms_ssim: images must be floating-point"
        ):
            unchecked(*pair, scales=3)
    with pytest.raises(ValueError, match=r"^ms_ssim: .* equal shapes"):
        unchecked(images, images[:, 1:], scales=3)
