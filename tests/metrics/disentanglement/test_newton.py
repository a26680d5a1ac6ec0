import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.metrics.disentanglement.newton import newton


def minimum(value, start, **options):
    found = jax.jit(lambda start: newton(value, jax.hessian(value), start, **options))
    return found(jnp.asarray(start))


def test_the_minimum_of_a_quadratic_is_found_and_flat_directions_are_left():
    scale = jnp.array([1.0, 100.0, 0.0])
    found = minimum(lambda x: (scale * (x - 3) ** 2).sum(), [0.0, 50.0, 7.0])
    np.testing.assert_allclose(found, [3, 3, 7], rtol=1e-4)


def test_a_step_that_overshoots_is_shortened():
    # From 3, a whole step on log cosh goes to -98.
    found = minimum(lambda x: jnp.logaddexp(x, -x).sum(), [3.0])
    np.testing.assert_allclose(found, [0], atol=1e-3)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_a_parameter_does_not_matter(scale):
    units = jnp.array([1.0, scale])

    def value(x):
        first, second = x / units
        return jnp.exp(first) + jnp.exp(second - first) + jnp.exp(-second)

    found = minimum(value, jnp.array([2.0, -1.0]) * units)
    np.testing.assert_allclose(found / units, [0, 0], atol=1e-3)


def test_a_direction_that_rounding_makes_concave_is_damped():
    direction = jnp.array([1.0, 1.0, -2.0])

    def value(x):
        return (x @ direction - 1) ** 2

    def hessian(x):
        return 2 * jnp.outer(direction, direction) - 1e-4 * jnp.eye(3)

    found = jax.jit(lambda start: newton(value, hessian, start))(jnp.zeros(3))
    assert found @ direction == pytest.approx(1, abs=1e-3)


def test_many_at_once_are_those_alone():
    def value(x):
        return jnp.logaddexp(x[0], -x[0]) + (x[1] - x[0]) ** 2

    starts = jnp.array([[3.0, 0.0], [0.1, 0.2], [-2.0, 5.0]])
    together = jax.vmap(lambda start: newton(value, jax.hessian(value), start))(starts)
    np.testing.assert_allclose(together, np.zeros((3, 2)), atol=1e-3)
