"""Sums of products against float64, and the derivatives that are such sums."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def rounding(size, terms, dtype):
    """The largest error of a sum of `terms` products, `size` in absolute value.

    In whatever order they are added, a term takes part in n roundings at most, one of
    its product and the others of partial sums, each by a relative u = eps / 2. So
    |error| <= n u sum|terms| (Higham 2002, Accuracy and Stability of Numerical
    Algorithms, section 3.1). Those of terms drawn at random are independent and of mean
    0: they exceed 6 sqrt(n) u sum|terms| with probability below 2 exp(-18) (Higham and
    Mary 2019, SIAM J. Sci. Comput. 41).
    """
    unit = float(jnp.finfo(dtype).eps) / 2
    return np.minimum(terms, 6 * np.sqrt(terms)) * unit * size


def largest_error(found, exact, size, terms):
    """Of `found`, kept in its dtype after sums in at least float32."""
    bound = rounding(size, terms, jnp.promote_types(found.dtype, jnp.float32))
    if jnp.finfo(found.dtype).bits < 32:
        bound = bound + rounding(np.abs(exact) + bound, 1, found.dtype)
    return bound + rounding(size, terms, np.float64)  # the reference is rounded too


def assert_sums(found, exact, *arguments):
    """That `found` is `exact(*arguments)` but for rounding.

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
        assert ours.shape == wanted.shape
        bound = largest_error(ours, wanted, *sum_of_terms)
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
def sums():
    return SimpleNamespace(
        check=assert_sums, first=first_derivatives, second=second_derivatives
    )
