import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from vae_jax import latent

INTERPOLATIONS = [latent.linear_interpolation, latent.spherical_interpolation]
spherical = jax.jit(latent.spherical_interpolation, static_argnames="steps")
A = jnp.array([[3.0, 0.0, 0.0], [0.5, -1.0, 2.0]])
B = jnp.array([[0.0, 4.0, 0.0], [1.0, 1.0, 0.0]])


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("interpolate", INTERPOLATIONS)
def test_interpolations_hit_both_ends_in_any_batch(interpolate):
    curve = jax.jit(interpolate, static_argnames="steps")(A, B, steps=5)
    assert curve.shape == (2, 5, 3)
    np.testing.assert_allclose(curve[:, 0], A, atol=1e-6)
    np.testing.assert_allclose(curve[:, -1], B, atol=1e-6)
    np.testing.assert_allclose(curve[1], interpolate(A[1], B[1], steps=5), rtol=1e-6)


def test_a_line_has_equal_steps():
    steps = np.diff(latent.linear_interpolation(A, B, steps=5), axis=1)
    np.testing.assert_allclose(steps, np.repeat((B - A)[:, None] / 4, 4, 1), rtol=1e-5)


def test_a_quarter_of_a_circle_is_divided_evenly():
    a, b = jnp.array([2.0, 0.0]), jnp.array([0.0, 2.0])
    curve = latent.spherical_interpolation(a, b, steps=4)
    angles = np.deg2rad([0, 30, 60, 90])
    expected = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)
    np.testing.assert_allclose(curve, expected, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_an_arc_between_unit_vectors_stays_on_the_sphere(seed):
    ends = draw(seed, 2, 12)
    a, b = ends / np.linalg.norm(ends, axis=-1, keepdims=True)
    curve = spherical(a, b, steps=7)
    np.testing.assert_allclose(np.linalg.norm(curve, axis=-1), 1, atol=1e-4)


def test_an_arc_of_no_angle_is_a_line():
    a = jnp.array([1.0, 2.0, 2.0])
    for end in (a, 3 * a):
        np.testing.assert_allclose(
            latent.spherical_interpolation(a, end, steps=5),
            latent.linear_interpolation(a, end, steps=5),
            rtol=1e-6,
        )


def test_opposite_ends_have_no_arc_and_the_origin_has_one():
    a = jnp.array([1.0, 2.0, 2.0])
    assert np.isnan(latent.spherical_interpolation(a, -2 * a, steps=3)).all()
    curve = latent.spherical_interpolation(0 * a, a, steps=3)
    np.testing.assert_allclose(curve[jnp.array([0, 2])], [0 * a, a], atol=1e-6)


def test_no_pair_of_opposite_ends_has_an_arc():
    a, scale = draw(0, 200, 10), 0.1 + jnp.abs(draw(1, 200, 1))
    assert np.isnan(spherical(a, -scale * a, steps=5)).all()


def test_an_arc_of_nearly_half_a_turn_stays_on_the_sphere():
    a, b = np.linalg.qr(np.float64(draw(0, 10, 2)))[0].T
    angle = np.deg2rad(179.5)
    end = np.cos(angle) * a + np.sin(angle) * b
    found = latent.spherical_interpolation(jnp.float32(a), jnp.float32(end), steps=5)
    angles = np.linspace(0, angle, 5)[:, None]
    expected = np.cos(angles) * a + np.sin(angles) * b
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("stretch", [1.0, 3.0])
def test_the_gradient_at_an_arc_of_no_angle_is_that_of_a_line(stretch):
    a = jnp.array([1.0, 2.0, 2.0])

    def third_point(interpolate, ends):
        return interpolate(*ends, steps=5)[2].sum()

    # From the origin to itself too.
    for start in (a, 0 * a):
        ends = (start, stretch * start)
        found = jax.grad(lambda e: third_point(latent.spherical_interpolation, e))(ends)
        line = jax.grad(lambda e: third_point(latent.linear_interpolation, e))(ends)
        np.testing.assert_allclose(found, line, rtol=1e-6)


def test_arithmetic_adds_the_difference_of_the_means():
    add, subtract = jnp.array([[1.0, 0.0], [3.0, 2.0]]), jnp.array([[0.5, 0.5]])
    moved = latent.arithmetic(jnp.ones((3, 2)), add=add, subtract=subtract)
    np.testing.assert_allclose(moved, np.tile([2.5, 1.5], (3, 1)))
    same = latent.arithmetic(A[0], add=B, subtract=B)
    np.testing.assert_allclose(same, A[0])


def test_ranges():
    codes = jnp.array([[0.0, 1.0], [4.0, 5.0], [2.0, 9.0]])
    mean, logvar = jnp.array([1.0, -1.0]), jnp.log(jnp.array([4.0, 0.25]))
    deviation = np.sqrt(8 / 3)
    for found, low, high in (
        (latent.prior_range(2, deviations=3.0), [-3, -3], [3, 3]),
        (latent.posterior_range(mean, logvar, deviations=2.0), [-3, -2], [5, 0]),
        (
            latent.fitted_range(codes, deviations=1.0),
            [2 - deviation, 5 - 2 * deviation],
            [2 + deviation, 5 + 2 * deviation],
        ),
        (latent.observed_range(codes), [0, 1], [4, 9]),
    ):
        np.testing.assert_allclose(found, [low, high], rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda none: latent.arithmetic(A, add=none, subtract=B),
            "arithmetic: add must hold at least 1 example, got 0",
        ),
        (
            lambda none: latent.arithmetic(A, add=B, subtract=none),
            "arithmetic: subtract must hold at least 1 example, got 0",
        ),
        (
            lambda none: latent.fitted_range(none, deviations=1.0),
            "fitted_range: codes must hold at least 1 example, got 0",
        ),
        (latent.observed_range, "observed_range: codes must hold at least 1 example"),
    ],
)
def test_means_and_ranges_of_nothing_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros((0, 3)))


def test_a_traversal_moves_one_latent_and_no_other():
    start = jnp.array([0.5, -0.25, 1.0])
    within = latent.prior_range(3, deviations=2.0)
    found = np.array(latent.traversals(start, within, steps=5))
    for i in range(3):
        np.testing.assert_allclose(found[i, :, i], [-2, -1, 0, 1, 2])
        others = np.delete(found[i], i, axis=1)
        np.testing.assert_array_equal(others, np.tile(np.delete(start, i), (5, 1)))


def test_a_traversal_at_the_own_value_is_the_reconstruction():
    mean, logvar = draw(0, 4), draw(1, 4)
    weights = draw(2, 4, 12)

    def decode(latents):
        return jnp.tanh(latents @ weights).reshape(-1, 2, 2, 3)

    within = latent.posterior_range(mean, logvar, deviations=2.0)
    images = latent.decode_all(decode, latent.traversals(mean, within, steps=7))
    assert images.shape == (4, 7, 2, 2, 3)
    for middle in images[:, 3]:
        np.testing.assert_allclose(middle, decode(mean[None])[0], atol=1e-6)
    assert np.abs(images[:, 0] - images[:, 3]).max((1, 2, 3)).min() > 1e-2


def test_a_manifold_has_the_quantiles_of_the_prior_and_is_symmetric():
    grid = np.array(latent.manifold_grid(steps=5))
    quantiles = norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(grid[0, :, 0], quantiles, atol=1e-6)
    np.testing.assert_allclose(grid[:, 0, 1], quantiles[::-1], atol=1e-6)
    np.testing.assert_allclose(grid, -grid[::-1, ::-1], atol=1e-6)
    np.testing.assert_array_equal(latent.manifold_grid(steps=1), np.zeros((1, 1, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: latent.linear_interpolation(A, B, steps=1), "linear.*at least 2"),
        (lambda: latent.spherical_interpolation(A, B, steps=1), "spher.*at least 2"),
        (
            lambda: latent.traversals(
                A[0], latent.prior_range(3, deviations=1.0), steps=1
            ),
            "traversals.*at least 2.*got 1",
        ),
        (lambda: latent.manifold_grid(steps=0), "manifold_grid.*at least 1, got 0"),
    ],
)
def test_too_few_steps_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
