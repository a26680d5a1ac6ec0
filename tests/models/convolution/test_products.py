"""Many kernels at once are one kernel after another, without a convolution of XLA's."""

import functools

import jax
import jax.numpy as jnp
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


def of(function, geometry):
    return functools.partial(function, stride=geometry[1], padding=geometry[2])


def arguments(function, geometry):
    """Images and kernels of each run, and what to pull back through the function."""
    kernel_size, _, _, size, channels, out = geometry
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.normal(keys[0], (RUNS, 2, *size, channels))
    kernels = jax.random.normal(keys[1], (RUNS, *kernel_size, channels, out))
    outputs = jax.eval_shape(jax.vmap(of(function, geometry)), images, kernels)
    return images, kernels, jax.random.normal(keys[2], outputs.shape)


def one_by_one(function):
    """What `jax.vmap` of the function is to give."""

    def of_all(*stacked):
        outputs = [function(*of_one) for of_one in zip(*stacked, strict=True)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)

    return of_all


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_many_kernels_give_what_each_gives(function, geometry, sums):
    first = arguments(function, geometry)
    second = *first, *(jnp.flip(x, 0) for x in first[:2])
    for order, stacked in ((sums.first, first), (sums.second, second)):
        run = order(of(function, geometry))
        sums.check(jax.vmap(run)(*stacked), one_by_one(run), *stacked)


@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_many_kernels_on_the_same_images(function, sums):
    images, kernels, cotangents = arguments(function, GEOMETRIES[1])
    run = sums.first(of(function, GEOMETRIES[1]))
    found = jax.vmap(run, in_axes=(None, 0, 0))(images[0], kernels, cotangents)
    repeated = jnp.stack([images[0]] * RUNS)
    sums.check(found, one_by_one(run), repeated, kernels, cotangents)


@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_an_axis_of_images_within_an_axis_of_kernels(function, sums):
    """As where attention maps are taken of many networks."""
    images, kernels, cotangents = arguments(function, GEOMETRIES[0])
    images, cotangents = (jnp.stack([x, 2 * x], 1) for x in (images, cotangents))
    run = sums.first(of(function, GEOMETRIES[0]))
    found = jax.vmap(jax.vmap(run, in_axes=(0, None, 0)))(images, kernels, cotangents)
    repeated = jnp.stack([kernels, kernels], 1)
    sums.check(found, one_by_one(one_by_one(run)), images, repeated, cotangents)


@pytest.mark.parametrize("function", [conv, conv_transpose])
def test_kernels_of_many_runs_leave_no_convolution(function):
    images, kernels, _ = arguments(function, GEOMETRIES[0])

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
