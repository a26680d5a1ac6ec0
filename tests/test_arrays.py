from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import arrays


@pytest.mark.parametrize("number", [0.1, 3, True])
def test_a_python_number_takes_the_precision_of_what_it_meets(number):
    with jax.enable_x64(True):
        wide = arrays.at_least_float32(number) * jnp.ones(2, jnp.float64)
        narrow = arrays.at_least_float32(number) * jnp.ones(2, jnp.float32)
        assert (wide.dtype, narrow.dtype) == (jnp.float64, jnp.float32)
        np.testing.assert_array_equal(wide, np.full(2, float(number)))


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        (jnp.bfloat16, jnp.float32),
        (jnp.float16, jnp.float32),
        (jnp.float32, jnp.float32),
    ],
)
def test_half_precision_is_widened(dtype, wanted):
    assert arrays.at_least_float32(jnp.ones(2, dtype)).dtype == wanted


def test_what_is_traced_is_not_known():
    seen = []
    jax.jit(lambda x: seen.append(arrays.known(x)))(jnp.ones(2))
    assert seen == [None]
    np.testing.assert_array_equal(arrays.known(jnp.arange(3)), [0, 1, 2])
    np.testing.assert_array_equal(arrays.known(2.5), 2.5)


def test_nan_is_no_pixel_out_of_range():
    images = jnp.array([0.2, jnp.nan])
    arrays.require_pixels("somebody", images)
    arrays.require_pixels("somebody", jnp.zeros((0, 3)))


def test_integers_of_which_one_is_no_bit_are_refused():
    arrays.require_pixels_or_bits("somebody", jnp.array([0, 1, 1]))
    with pytest.raises(ValueError, match=r"^somebody: images must be floating-point"):
        arrays.require_pixels_or_bits("somebody", jnp.array([0, 1, 2]))


def test_a_choice_is_one_of_the_literals():
    choices = Literal["gaussian", "imq"]
    arrays.require_choice("mmd", "kernel", "imq", choices)
    wanted = r"^mmd: kernel must be one of gaussian, imq, got 'rbf'\.$"
    with pytest.raises(ValueError, match=wanted):
        arrays.require_choice("mmd", "kernel", "rbf", choices)


@pytest.mark.parametrize("index", [[0, 3], [-1], [[1], [7]]])
def test_an_index_outside_is_refused_where_it_is_known(index):
    with pytest.raises(ValueError, match=r"^somebody: place must be from 0 to 2, got"):
        arrays.require_index("somebody", "place", jnp.array(index), 3)


def test_an_index_inside_or_traced_passes():
    arrays.require_index("somebody", "place", jnp.array([[0], [2]]), 3)
    arrays.require_index("somebody", "place", jnp.zeros((0,), int), 3)
    jax.jit(lambda i: arrays.require_index("somebody", "place", i, 3))(jnp.array(5))
