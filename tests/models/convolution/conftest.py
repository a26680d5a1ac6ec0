"""Sums of products against float64, and the derivatives that are such sums."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def largest_error(found, exact, size, terms, *, rounding):
    """Of `found`, kept in its dtype after sums in at least float32."""
    wide = jnp.promote_types(found.dtype, jnp.float32)
    bound = rounding(size, terms, at_random=True, dtype=wide)
    if found.dtype != wide:
        bound = bound + rounding(np.abs(exact) + bound, 1, dtype=found.dtype)
    # The reference is rounded too.
    return bound + rounding(size, terms, at_random=True, dtype=np.float64)


def assert_sums(found, exact, *arguments, rounding):
    """That `found` is `exact(*arguments)` in float64 but for rounding.

    Every output of `exact` is a sum of products of the arguments: of their absolute
    values, it is the size of the terms, and of ones their number.
    """
    with jax.enable_x64(True):

        def of(change):
            wide = (jnp.asarray(change(np.asarray(x, np.float64))) for x in arguments)
            return map(np.asarray, jax.tree.leaves(exact(*wide)))

        leaves = zip(of(np.array), of(np.abs), of(np.ones_like), strict=True)
    for ours, (wanted, *sum_of_terms) in zip(
        jax.tree.leaves(found), leaves, strict=True
    ):
        assert (ours.shape, ours.dtype) == (wanted.shape, arguments[0].dtype)
        bound = largest_error(ours, wanted, *sum_of_terms, rounding=rounding)
        error = np.abs(np.asarray(ours, np.float64) - wanted)
        np.testing.assert_array_less(error, np.maximum(bound, np.finfo(float).tiny))


def first_derivatives(function):
    """Value and both pull-backs, of images, kernel and what is pulled back."""

    def value_and_pull_backs(images, kernel, cotangent):
        outputs, pull_back = jax.vjp(function, images, kernel)
        return outputs, *pull_back(cotangent)

    return jax.jit(value_and_pull_backs)


def second_derivatives(function):
    """Pulled back through the pull-backs: by images, by kernel, by cotangent."""

    def pull_backs(images, kernel, cotangent):
        return jax.vjp(function, images, kernel)[1](cotangent)

    def of_pull_backs(images, kernel, cotangent, *cotangents):
        _, pull_back = jax.vjp(pull_backs, images, kernel, cotangent)
        return pull_back(cotangents)

    return jax.jit(of_pull_backs)


@pytest.fixture(scope="session")
def sums(rounding):
    return SimpleNamespace(
        check=functools.partial(assert_sums, rounding=rounding),
        first=first_derivatives,
        second=second_derivatives,
    )
