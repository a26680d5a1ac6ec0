"""Many kernels at once are one kernel after another, without a convolution of XLA's."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.models.convolution import conv, conv_transpose

# (kernel, stride, padding, image size, channels, out): blocks of more and of fewer
# channels than there are features, kernels that fill their blocks or not, images too.
GEOMETRIES = [
    ((4, 4), 2, 1, (8, 6), 1, 8),
    ((4, 4), 2, 1, (7, 9), 4, 3),
    ((2, 2), 2, 0, (6, 4), 2, 3),
    ((2, 2), 2, 0, (5, 7), 1, 5),
    ((5, 3), 2, 1, (9, 7), 2, 9),
    ((3, 3), 1, 1, (5, 6), 3, 2),
    ((4, 5), 3, 2, (12, 11), 1, 10),
    ((1, 1), 2, 0, (6, 5), 2, 4),
    ((2, 2), 1, 2, (3, 4), 2, 2),
]
RUNS = 3


def arguments(geometry):
    kernel_size, _, _, size, channels, out = geometry
    keys = jax.random.split(jax.random.key(0), 2)
    images = jax.random.normal(keys[0], (RUNS, 2, *size, channels))
    # Small features, so that their sines and second derivatives keep their digits.
    kernels = jax.random.normal(keys[1], (RUNS, *kernel_size, channels, out))
    kernels /= 3 * math.sqrt(math.prod(kernel_size) * channels)
    return images, kernels


def of(function, geometry):
    return functools.partial(function, stride=geometry[1], padding=geometry[2])


def assert_close(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def one_by_one(function, *stacked):
    outputs = [function(*(x[i] for x in stacked)) for i in range(RUNS)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)


def value_and_derivatives(function, images, kernel):
    """Of one run: value, both gradients, and the gradient of what these amount to."""

    def size_of_gradients(images, kernel):
        gradients = jax.grad(
            lambda *both: jnp.sum(jnp.sin(function(*both))), argnums=(0, 1)
        )(images, kernel)
        return sum(jnp.sum(jnp.square(g)) for g in gradients), gradients

    second, first = jax.grad(size_of_gradients, argnums=(0, 1), has_aux=True)(
        images, kernel
    )
    return function(images, kernel), first, second


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_many_kernels_give_what_each_gives(function, geometry):
    images, kernels = arguments(geometry)
    run = jax.jit(functools.partial(value_and_derivatives, of(function, geometry)))
    assert_close(jax.vmap(run)(images, kernels), one_by_one(run, images, kernels))


@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_many_kernels_on_the_same_images(function):
    images, kernels = arguments(GEOMETRIES[1])
    run = jax.jit(functools.partial(value_and_derivatives, of(function, GEOMETRIES[1])))
    found = jax.vmap(run, in_axes=(None, 0))(images[0], kernels)
    assert_close(found, one_by_one(lambda kernel: run(images[0], kernel), kernels))


@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_an_axis_of_images_within_an_axis_of_kernels(function):
    """As where attention maps are taken of many networks."""
    images, kernels = arguments(GEOMETRIES[0])
    more = jnp.stack([images, 2 * images], axis=1)
    run = of(function, GEOMETRIES[0])
    both = jax.vmap(jax.vmap(run, in_axes=(0, None)))(more, kernels)
    assert_close(both[:, 0], one_by_one(run, images, kernels))
    assert_close(both[:, 1], 2 * both[:, 0])


@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_kernels_of_many_runs_leave_no_convolution(function):
    images, kernels = arguments(GEOMETRIES[0])

    def gradients(images, kernels):
        return jax.grad(lambda *both: of(function, GEOMETRIES[0])(*both).sum(), (0, 1))(
            images, kernels
        )

    assert "conv_general" in str(jax.make_jaxpr(gradients)(images[0], kernels[0]))
    mapped = str(jax.make_jaxpr(jax.vmap(gradients))(images, kernels))
    assert "conv_general" not in mapped
    assert "dot_general" in mapped
    shared = jax.vmap(gradients, in_axes=(0, None))
    assert "conv_general" in str(jax.make_jaxpr(shared)(images, kernels[0]))
