import inspect
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import losses

KERNELS = ["gaussian", "inverse_multiquadratic"]


def kernel_twin(x, y, kernel):
    squared, scale = ((x - y) ** 2).sum(), 2 * len(x)
    if kernel == "gaussian":
        return math.exp(-squared / scale)
    scales = [s * scale for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    return sum(c / (c + squared) for c in scales)


@pytest.mark.parametrize("kernel", KERNELS)
def test_agrees_with_a_float64_loop(kernel, rounding):
    rng = np.random.default_rng(0)
    x = rng.normal(1, 2, (6, 3)).astype(np.float32)
    y = rng.normal(size=(8, 3)).astype(np.float32)

    def of_pairs(first, second):
        pairs = itertools.product(np.float64(first), np.float64(second))
        values = [kernel_twin(a, b, kernel) for a, b in pairs]
        return np.reshape(values, (len(first), len(second)))

    def within(values):
        return (values.sum() - np.trace(values)) / (len(values) * (len(values) - 1))

    first, second, across = of_pairs(x, x), of_pairs(y, y), of_pairs(x, y)
    found = losses.mmd(jnp.asarray(x), jnp.asarray(y), kernel=kernel)
    expected = within(first) + within(second) - 2 * across.mean()
    # Sums of at most 8 x 8 values, of under 20 roundings each, and of the diagonals.
    within_sizes = [
        (k.sum() + np.trace(k)) / (len(k) * (len(k) - 1)) for k in (first, second)
    ]
    error = rounding(sum(within_sizes) + 2 * across.mean(), 8 * 8 + 20)
    np.testing.assert_allclose(found, expected, rtol=0, atol=error)


def mmd_of_normals(latents, shift, *, squared_width):
    """Closed form of N(shift, I) and N(0, I) under exp(-d² / (2 squared_width))."""
    # E k is (h / (h + 2))^(D/2) exp(-|m|² / (2 (h + 2))), with m the distance of means.
    factor = (squared_width / (squared_width + 2)) ** (latents / 2)
    exponent = latents * shift**2 / (2 * (squared_width + 2))
    return 2 * factor * (1 - math.exp(-exponent))


@pytest.mark.parametrize("shift", [0.8, 2.0])
def test_gaussian_kernel_gives_the_closed_form_of_two_normals(shift):
    latents, number, repetitions = 3, 100, 400

    @jax.jit
    @jax.vmap
    def one(key):
        x, y = jax.random.normal(key, (2, number * latents))
        x, y = x.reshape(number, latents) + shift, y.reshape(number, latents)
        return losses.mmd(x, y)

    found = one(jax.random.split(jax.random.key(0), repetitions))
    expected, *others = (
        mmd_of_normals(latents, shift, squared_width=factor * latents)
        for factor in (1, 0.5, 2)
    )
    error = 4 * float(found.std()) / math.sqrt(repetitions)
    assert abs(float(found.mean()) - expected) < error
    # Half or twice the width would not pass.
    assert min(abs(other - expected) for other in others) > 2 * error


@pytest.mark.parametrize("kernel", KERNELS)
def test_is_zero_on_average_for_one_law_and_has_no_bias(kernel):
    def one(key):
        x, y = jax.random.normal(key, (2, 24))
        return losses.mmd(x.reshape(8, 3), y.reshape(8, 3), kernel=kernel)

    found = jax.vmap(one)(jax.random.split(jax.random.key(0), 2000))
    assert (found < 0).any()
    assert abs(float(found.mean())) < 4 * float(found.std()) / math.sqrt(2000)


@pytest.mark.parametrize("kernel", KERNELS)
def test_half_precision_in_is_float32_inside_and_out(kernel):
    x, y = jax.random.normal(jax.random.key(0), (2, 24), jnp.bfloat16)
    x, y = x.reshape(8, 3), y.reshape(8, 3)
    found = losses.mmd(x, y, kernel=kernel)
    wide = losses.mmd(*(s.astype(jnp.float32) for s in (x, y)), kernel=kernel)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, wide)


def test_equal_samples_have_a_finite_gradient():
    x = jnp.ones((4, 2))
    assert jnp.isfinite(jax.grad(lambda x: losses.mmd(x, x + 1))(x)).all()


def test_the_kernel_of_the_code_of_zhao_et_al_weighs_as_documented():
    # exp(-d² / D²) is the closed form's width with a square of D² / 2.
    options = {"latents": 10, "shift": 0.5 / math.sqrt(10)}
    ours = mmd_of_normals(**options, squared_width=10)
    theirs = mmd_of_normals(**options, squared_width=50)
    assert (round(ours, 4), round(theirs, 4)) == (0.0083, 0.0039)
    assert ours / theirs == pytest.approx(2.1, abs=0.05)


def test_an_unknown_kernel_is_refused():
    wanted = "^mmd: kernel must be one of gaussian, inverse_multiquadratic, got 'rbf'"
    with pytest.raises(ValueError, match=wanted):
        inspect.unwrap(losses.mmd)(jnp.zeros((4, 2)), jnp.zeros((4, 2)), kernel="rbf")


def test_latents_must_agree_and_pairs_must_exist():
    # Unwrapped, because the shape checks of the test run would speak first.
    mmd = inspect.unwrap(losses.mmd)
    with pytest.raises(ValueError, match=r"mmd: samples and .* got 2 and 3"):
        mmd(jnp.zeros((4, 2)), jnp.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"mmd: at least two samples .* got 4 and 1;"):
        mmd(jnp.zeros((4, 2)), jnp.zeros((1, 2)))
