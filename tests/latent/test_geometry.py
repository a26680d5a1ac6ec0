import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import latent, models

WEIGHTS = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)), jnp.float32)
LINE = latent.linear_interpolation(jnp.zeros(3), jnp.array([1.0, -1, 2]), steps=9)


def linear(latents):
    return (latents @ WEIGHTS).reshape(-1, 2, 2, 2)


def sphere(latents):
    """Colatitude and longitude to the unit sphere."""
    down, round_ = latents.T
    radius = jnp.sin(down)
    return jnp.stack(
        [radius * jnp.cos(round_), radius * jnp.sin(round_), jnp.cos(down)], -1
    )


def stereographic(latents):
    """The plane to the unit sphere."""
    square = jnp.square(latents).sum(-1, keepdims=True)
    return jnp.concatenate([2 * latents, square - 1], -1) / (1 + square)


def great_circle(decode, start, end):
    a, b = np.float64(decode(jnp.stack([start, end])))
    return np.arccos(a @ b)


def test_the_metric_of_a_linear_decoder_is_constant():
    metric = latent.pull_back_metric(linear, jnp.eye(4, 3))
    expected = np.broadcast_to(WEIGHTS @ WEIGHTS.T, (4, 3, 3))
    np.testing.assert_allclose(metric, expected, rtol=1e-5, atol=1e-6)


def test_the_metric_of_the_sphere():
    latents = jnp.array([[0.6, 0.2], [1.5, -2.0]])
    metric = jax.jit(lambda x: latent.pull_back_metric(sphere, x))(latents)
    for found, (down, _) in zip(metric, latents, strict=True):
        expected = np.diag([1, np.sin(down) ** 2])
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_metric_of_a_convolutional_decoder_is_that_of_its_jacobian():
    model = models.small_vae(image_size=16, latents=2, width=2, norm=None)
    variables = models.init(model, key=jax.random.key(0))

    def decode(latents):
        return model.apply(variables, latents, method="decode")

    places = jnp.array([[0.3, -0.7], [2.0, 1.0]])
    metric = jax.jit(lambda x: latent.pull_back_metric(decode, x))(places)
    # One pull-back for each pixel instead of one push-forward for each latent.
    jacobian_of = jax.jit(jax.jacrev(lambda place: decode(place[None]).ravel()))
    for found, place in zip(metric, places, strict=True):
        jacobian = np.float64(jacobian_of(place))
        expected = jacobian.T @ jacobian
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.abs(metric[0] - metric[1]).max() > 0.1 * np.abs(metric[0]).max()


def test_length_and_energy_of_a_straight_line():
    distance = np.linalg.norm(LINE[-1] @ WEIGHTS)
    np.testing.assert_allclose(latent.curve_length(linear, LINE), distance, rtol=1e-5)
    energy = latent.curve_energy(linear, LINE)
    np.testing.assert_allclose(energy, distance**2 / 2, rtol=1e-5)


def test_half_the_squared_length_is_the_least_energy():
    uneven = LINE.at[3].set(LINE[2])
    length = latent.curve_length(linear, uneven)
    np.testing.assert_allclose(length, latent.curve_length(linear, LINE), rtol=1e-5)
    assert latent.curve_energy(linear, uneven) > 1.1 * length**2 / 2


def test_the_length_of_a_curve_that_pauses_has_a_gradient():
    curve = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    slope = jax.grad(lambda curve: latent.curve_length(linear, curve))(curve)
    # Moving the first point along the curve shortens it; the pause pulls nowhere.
    direction = np.float64(WEIGHTS[0]) / np.linalg.norm(WEIGHTS[0])
    pull = np.float64(WEIGHTS) @ direction
    np.testing.assert_allclose(slope, [-pull, pull, 0 * pull], rtol=1e-5, atol=1e-6)


def test_curves_of_a_batch_are_measured_one_by_one():
    curves = jnp.stack([LINE, 2 * LINE])
    for measure, ratio in ((latent.curve_length, 2), (latent.curve_energy, 4)):
        found = measure(linear, curves)
        np.testing.assert_allclose(found[0], measure(linear, LINE), rtol=1e-5)
        np.testing.assert_allclose(found[1], ratio * found[0], rtol=1e-5)


def test_the_length_is_that_of_the_metric():
    curve = latent.linear_interpolation(
        jnp.array([0.6, 0.0]), jnp.array([1.2, 2.0]), steps=401
    )
    metric = latent.pull_back_metric(sphere, curve)
    velocity = np.float64(curve[-1] - curve[0])
    speed = np.sqrt(np.einsum("i,tij,j->t", velocity, metric, velocity))
    length = latent.curve_length(sphere, curve)
    np.testing.assert_allclose(length, np.trapezoid(speed, dx=1 / 400), rtol=1e-4)


def test_the_geodesic_of_a_linear_decoder_is_the_straight_line():
    bent = LINE.at[3].add(0.5).at[5, 1].add(-1.0)
    found = latent.geodesic(linear, bent)
    assert found.is_converged
    np.testing.assert_allclose(found.curve, LINE, atol=5e-3)
    distance = np.linalg.norm(LINE[-1] @ WEIGHTS)
    np.testing.assert_allclose(found.energy, distance**2 / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("decode", "start", "end"),
    [
        (sphere, [0.6, 0.0], [0.9, 2.2]),
        (stereographic, [0.3, 0.0], [-2.0, 1.5]),
    ],
)
def test_geodesics_of_the_sphere_are_great_circles(decode, start, end):
    start, end = jnp.array(start), jnp.array(end)
    line = latent.linear_interpolation(start, end, steps=17)
    angle = great_circle(decode, start, end)
    chords = 16 * 2 * np.sin(angle / 16 / 2)
    found = latent.geodesic(decode, line)
    assert latent.curve_length(decode, line) > 1.02 * chords
    np.testing.assert_allclose(
        latent.curve_length(decode, found.curve), chords, rtol=1e-5
    )
    np.testing.assert_array_equal(found.curve[0], start)
    np.testing.assert_array_equal(found.curve[-1], end)
    # At even speed, in the plane of both ends and the centre.
    images = np.float64(decode(found.curve))
    steps = np.linalg.norm(np.diff(images, axis=0), axis=-1)
    np.testing.assert_allclose(steps, chords / 16, rtol=2e-2)
    normal = np.cross(images[0], images[-1])
    np.testing.assert_allclose(images @ normal, 0, atol=1e-2)


def test_a_geodesic_that_may_not_iterate_says_so_and_one_of_no_length_is_itself():
    bent = LINE.at[3].add(5.0)
    assert not latent.geodesic(linear, bent, iterations=1).is_converged
    still = jnp.ones((4, 3))
    found = latent.geodesic(linear, still)
    np.testing.assert_array_equal(found.curve, still)
    assert found.energy == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (latent.curve_length, "curve_length: a curve has at least 2 points, got 1"),
        (latent.curve_energy, "curve_energy: a curve has at least 2 points, got 1"),
        (latent.geodesic, "geodesic: initial must have at least 3 points, got 1"),
    ],
)
def test_too_short_curves_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(linear, LINE[:1])
