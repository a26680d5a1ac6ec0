import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.models.taps import channel_tap, tap


class Doubled(nn.Module):
    """y = 2 x, with x tapped whole and by channel, and averaged over space."""

    @nn.compact
    def __call__(self, x):
        x = tap(self, "input", x)
        delta = channel_tap(self, "input", x)
        y = 2 * x.mean((1, 2))
        return y if delta is None else y + 2 * delta


def test_tap_reports_the_value_and_its_gradient():
    x = jnp.arange(24, dtype=jnp.float32).reshape(2, 2, 2, 3)

    def total(perturbation):
        perturbations = {"input": perturbation, "input_channels": jnp.zeros(())}
        y, state = Doubled().apply(
            {"perturbations": perturbations}, x, mutable=["intermediates"]
        )
        return y.sum(), state["intermediates"]["input"]

    gradient, value = jax.grad(total, has_aux=True)(jnp.zeros_like(x))
    np.testing.assert_array_equal(value, x)
    np.testing.assert_array_equal(gradient, np.full(x.shape, 0.5))


def test_channel_tap_has_the_gradient_of_a_shift_of_the_whole_channel():
    x = jnp.ones((2, 2, 2, 3))

    def total(perturbation):
        perturbations = {"input": jnp.zeros(()), "input_channels": perturbation}
        return Doubled().apply({"perturbations": perturbations}, x).sum()

    gradient = jax.grad(total)(jnp.zeros((2, 3)))
    np.testing.assert_array_equal(gradient, np.full((2, 3), 2.0))


def test_taps_are_free_unless_asked_for():
    x = jnp.ones((2, 2, 2, 3))
    plain = jax.make_jaxpr(lambda x: 2 * x.mean((1, 2)))(x)
    tapped = jax.make_jaxpr(lambda x: Doubled().apply({}, x))(x)
    assert str(plain) == str(tapped)


def test_channel_tap_is_as_precise_as_what_it_taps():
    """And at least float32: its gradient is a sum over all pixels."""

    def mark(dtype):
        state = jax.eval_shape(
            lambda: Doubled().init(jax.random.key(0), jnp.ones((1, 2, 2, 3), dtype))
        )
        return state["perturbations"]["input_channels"].dtype

    assert mark(jnp.bfloat16) == mark(jnp.float32) == jnp.float32
    with jax.enable_x64(True):
        assert mark(jnp.float64) == jnp.float64


class Repeated(nn.Module):
    """x, 2 x and a sum over space, all tapped by one name."""

    @nn.compact
    def __call__(self, x):
        x = tap(self, "x", x)
        x = tap(self, "x", 2 * x)
        return tap(self, "x", x.sum((1, 2)))


def test_a_tap_that_is_met_again_is_a_tap_of_its_own():
    x = jnp.ones((2, 2, 2, 3))
    _, state = Repeated().apply({}, x, mutable=["perturbations", "intermediates"])
    sizes = {"x": (2, 2, 2, 3), "x#2": (2, 2, 2, 3), "x#3": (2, 3)}
    for marks in state.values():
        assert {name: mark.shape for name, mark in marks.items()} == sizes
    values = {name: float(v.max()) for name, v in state["intermediates"].items()}
    assert values == {"x": 1.0, "x#2": 2.0, "x#3": 8.0}


def test_a_tap_that_is_met_again_in_another_shape_does_not_broadcast():
    variables = Repeated().init(jax.random.key(0), jnp.ones((2, 2, 2, 3)))
    assert variables["perturbations"]["x#3"].shape == (2, 3)
