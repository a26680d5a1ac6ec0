import functools
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses

# Compiled whole: one operation at a time it would take most of the tests' time.
mixture_log_likelihood = jax.jit(losses.discretised_logistic_mixture_log_likelihood)


def test_undecided_logits_cost_one_bit_a_pixel():
    images = jnp.ones((2, 28, 28, 1)).at[1].set(0.3)
    found = losses.bernoulli_log_likelihood(images, jnp.zeros_like(images))
    # 784 roundings of float32.
    np.testing.assert_allclose(found, -784 * math.log(2), rtol=1e-5)


@pytest.mark.parametrize("as_array", [False, True])
def test_fixed_variance_is_half_the_squared_error_and_the_constant(as_array, rounding):
    images, mean = jnp.full((3, 4, 5, 2), 0.75), jnp.full((3, 4, 5, 2), 0.25)
    logvar = math.log(0.1)
    found = losses.gaussian_log_likelihood(
        images, mean, logvar=jnp.array(logvar) if as_array else logvar
    )
    parts = np.array([math.log(2 * math.pi), logvar, 0.25 / 0.1])
    # 40 pixels, each of three parts that take under 10 operations to make.
    error = rounding(0.5 * 40 * np.abs(parts).sum(), 40 + 10)
    np.testing.assert_allclose(found, -0.5 * 40 * parts.sum(), rtol=0, atol=error)


def test_variance_per_pixel_equals_one_variance_where_they_agree():
    images = jax.random.uniform(jax.random.key(0), (2, 3, 3, 1))
    mean = jnp.zeros_like(images)
    np.testing.assert_allclose(
        losses.gaussian_log_likelihood(images, mean, logvar=jnp.full_like(mean, -1.0)),
        losses.gaussian_log_likelihood(images, mean, logvar=-1.0),
        rtol=1e-6,
    )


def test_a_learned_variance_is_best_at_the_mean_squared_error():
    images = jax.random.uniform(jax.random.key(1), (5, 4, 4, 1))
    mean = jnp.full_like(images, 0.4)

    def slope(logvar):
        return jax.grad(
            lambda v: losses.gaussian_log_likelihood(images, mean, logvar=v).sum()
        )(logvar)

    best = jnp.log(jnp.square(images - mean).mean())
    np.testing.assert_allclose(slope(best), 0.0, atol=1e-4)
    assert slope(best - 0.1) > 0 > slope(best + 0.1)


@pytest.mark.parametrize(("channels", "parameters"), [(1, 6), (3, 20)])
def test_mixture_log_likelihood_adds_up_independent_pixels(channels, parameters):
    images = jax.random.uniform(jax.random.key(2), (2, 3, 3, channels))
    heads = jax.random.normal(jax.random.key(3), (2, 3, 3, parameters))
    whole = mixture_log_likelihood(images, heads)
    parts = sum(
        mixture_log_likelihood(images[:, row : row + 1], heads[:, row : row + 1])
        for row in range(3)
    )
    assert whole.shape == (2,)
    np.testing.assert_allclose(whole, parts, rtol=1e-5)


def test_a_logistic_far_wider_than_the_range_is_a_coin_toss_between_the_edges():
    images = jnp.zeros((1, 4, 4, 1)).at[0, :2].set(1.0)
    heads = jnp.tile(jnp.array([0.0, 0.0, 20.0]), (1, 4, 4, 1))
    found = mixture_log_likelihood(images, heads)
    np.testing.assert_allclose(found, -16 * math.log(2), rtol=1e-6)


@pytest.mark.parametrize(
    ("likelihood", "name"),
    [
        (
            losses.bernoulli_log_likelihood,
            "bernoulli_log_likelihood: .* and logits",
        ),
        (losses.gaussian_log_likelihood, "gaussian_log_likelihood: .* and mean"),
    ],
)
def test_grey_images_and_colour_outputs_do_not_broadcast(likelihood, name):
    # Unwrapped, because the shape checks of the test run would speak first.
    unchecked = inspect.unwrap(likelihood)
    options = {"logvar": 0.0} if "gaussian" in name else {}
    with pytest.raises(
        ValueError, match=rf"{name} must have equal .*4, 1\) and \(2, 4, 4, 3\);"
    ):
        unchecked(jnp.zeros((2, 4, 4, 1)), jnp.zeros((2, 4, 4, 3)), **options)


def every_likelihood():
    images = jnp.linspace(0.1, 0.9, 24).reshape(2, 2, 2, 3)
    return {
        "bernoulli": (losses.bernoulli_log_likelihood, (images, images)),
        "gaussian": (
            lambda x, mean, v: losses.gaussian_log_likelihood(x, mean, logvar=v),
            (images, images[::-1], -images),
        ),
        "mixture": (
            mixture_log_likelihood,
            (images, jnp.linspace(-1, 1, 80).reshape(2, 2, 2, 10)),
        ),
    }


@pytest.mark.parametrize("name", every_likelihood())
def test_half_precision_in_is_float32_inside_and_out(name):
    likelihood, arguments = every_likelihood()[name]
    half = [x.astype(jnp.bfloat16) for x in arguments]
    found = likelihood(*half)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(
        found, likelihood(*(x.astype(jnp.float32) for x in half))
    )


@pytest.mark.parametrize("name", every_likelihood())
def test_jit_and_vmap_change_nothing(name):
    likelihood, arguments = every_likelihood()[name]
    expected = likelihood(*arguments)
    np.testing.assert_allclose(jax.jit(likelihood)(*arguments), expected, rtol=1e-6)
    stacked = [jnp.stack([x, x]) for x in arguments]
    np.testing.assert_allclose(jax.vmap(likelihood)(*stacked)[1], expected, rtol=1e-6)


@pytest.mark.parametrize("name", every_likelihood())
def test_an_example_is_the_same_alone_or_in_a_batch(name):
    likelihood, arguments = every_likelihood()[name]
    alone = likelihood(*(x[1:] for x in arguments))
    np.testing.assert_allclose(alone, likelihood(*arguments)[1:], rtol=1e-6)


LIKELIHOODS = {
    "bernoulli_log_likelihood": {},
    "gaussian_log_likelihood": {"logvar": 0.0},
    "discretised_logistic_mixture_log_likelihood": {},
}


def likelihood(name, images):
    heads = 6 if name.startswith("discretised") else 1
    function = inspect.unwrap(getattr(losses, name))
    shape = (*images.shape[:-1], heads)
    return function(images, jnp.full(shape, 3.0), **LIKELIHOODS[name])


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_images_of_8_bits_are_refused(name, traced):
    images = jnp.full((2, 3, 3, 1), 128, jnp.uint8)
    run = functools.partial(likelihood, name)
    wanted = rf"^{name}: images must be floating-point, got uint8; divide 8-bit"
    with pytest.raises(ValueError, match=wanted):
        (jax.jit(run) if traced else run)(images)


@pytest.mark.parametrize("level", [255.0, -1.0])
@pytest.mark.parametrize("name", [n for n in LIKELIHOODS if n[0] != "g"])
def test_pixels_that_are_not_in_0_to_1_are_refused_where_they_are_known(name, level):
    images = jnp.zeros((2, 3, 3, 1)).at[1, 2, 2].set(level)
    wanted = rf"^{name}: images must be in \[0, 1\], got values from .*divide"
    with pytest.raises(ValueError, match=wanted):
        likelihood(name, images)
    # Interpolated ones overshoot a little.
    assert np.isfinite(likelihood(name, images / 1e3)).all()


@pytest.mark.parametrize("dtype", [jnp.bool, jnp.uint8, jnp.int32])
def test_bits_of_any_kind_are_bernoulli(dtype):
    bits = jax.random.bernoulli(jax.random.key(0), shape=(2, 3, 3, 1))
    logits = jax.random.normal(jax.random.key(1), bits.shape)
    np.testing.assert_array_equal(
        losses.bernoulli_log_likelihood(bits.astype(dtype), logits),
        losses.bernoulli_log_likelihood(bits.astype(jnp.float32), logits),
    )


@pytest.mark.parametrize("shape", [(2,), (3, 1), (1, 3, 3, 1), (2, 3, 3)])
def test_a_variance_per_image_does_not_broadcast(shape):
    images = jnp.zeros((2, 3, 3, 1))
    wanted = r"^gaussian_log_likelihood: logvar must be a number or have shape \(2, 3"
    with pytest.raises(ValueError, match=wanted):
        inspect.unwrap(losses.gaussian_log_likelihood)(
            images, images, logvar=jnp.zeros(shape)
        )


def test_a_learned_variance_is_that_of_the_density():
    rng = np.random.default_rng(0)
    images = rng.random((3, 2, 2, 2))
    parameters = rng.normal(size=(3, 2, 2, 4))
    floor = 2 * np.log(1 / 255)
    mean, raw = np.split(parameters, 2, axis=-1)
    variance = np.exp(floor + np.log1p(np.exp(raw - floor)))
    expected = -0.5 * (np.log(2 * np.pi * variance) + (images - mean) ** 2 / variance)
    found = losses.learned_gaussian_log_likelihood(
        jnp.asarray(images, jnp.float32), jnp.asarray(parameters, jnp.float32)
    )
    np.testing.assert_allclose(found, expected.sum((1, 2, 3)), rtol=1e-5)


def test_no_learned_variance_is_below_that_of_a_gray_level():
    mean, logvar = losses.learned_gaussian(jnp.array([[0.25, -1e4], [0.5, 3.0]]))
    np.testing.assert_allclose(mean, [[0.25], [0.5]])
    np.testing.assert_allclose(
        jnp.exp(logvar / 2), [[1 / 255], [math.exp(1.5)]], rtol=1e-5
    )


def test_the_best_shared_variance_is_the_mean_squared_error():
    errors = jax.random.normal(jax.random.key(0), (50, 4, 4, 1)) * 0.2

    def loss(logvar):
        parameters = jnp.concatenate([errors, jnp.full_like(errors, logvar)], -1)
        return -losses.learned_gaussian_log_likelihood(
            jnp.zeros_like(errors), parameters
        ).mean()

    best = jnp.log(jnp.square(errors).mean())
    np.testing.assert_allclose(jax.grad(loss)(best), 0, atol=0.02)


def test_a_variance_for_every_mean():
    with pytest.raises(ValueError, match="got 3 parameters; wrap the decoder"):
        losses.learned_gaussian(jnp.zeros((2, 3)))


@pytest.mark.parametrize("least", [1 / 255, 0.05, 0.3])
def test_the_least_deviation_is_what_a_certain_decoder_is_left_with(least):
    images = jnp.full((1, 2, 2, 1), 0.5)
    parameters = jnp.concatenate([images, jnp.full_like(images, -200.0)], axis=-1)
    found = losses.learned_gaussian_log_likelihood(
        images, parameters, least_deviation=least
    )
    expected = -4 * np.log(least * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("raw", [-1e4, -11.0, 0.0, 80.0])
def test_a_learned_variance_has_a_slope_however_far_off_it_is(raw):
    """Of a pixel that is met exactly, and of one that is missed by far."""
    images = jnp.array([0.0, 1.0]).reshape(2, 1, 1, 1)
    parameters = jnp.array([[0.0, raw], [50.0, raw]]).reshape(2, 1, 1, 2)
    value, slope = jax.value_and_grad(
        lambda p: losses.learned_gaussian_log_likelihood(images, p).sum()
    )(parameters)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
