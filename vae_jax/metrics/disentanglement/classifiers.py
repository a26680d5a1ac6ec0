"""Convex classifiers at their optimum, on the device, as scikit-learn defines them.

scikit-learn iterates to a tolerance; these go on to the minimum, which is unique, so
the two agree as far as scikit-learn's has converged. Classes that do not occur are as
good as not there, so factors of different size can share one program.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.sparse.linalg
from jaxtyping import Array, Bool, Float, Int

HIGHEST = jax.lax.Precision.HIGHEST


class Linear(NamedTuple):
    """Scores `features @ weights.T + bias` of the classes; absent ones have -inf."""

    weights: Float[Array, "size feature"]
    bias: Float[Array, " size"]


def class_scores(
    classifier: Linear, features: Float[Array, "example feature"]
) -> Float[Array, "example size"]:
    """The score of each class, highest where it is predicted."""
    product = jnp.matmul(features, classifier.weights.T, precision=HIGHEST)
    return product + classifier.bias[None]


def accuracy(
    classifier: Linear,
    features: Float[Array, "example feature"],
    classes: Int[Array, " example"],
) -> Float[Array, ""]:
    """The share of examples whose class has the highest score."""
    return (class_scores(classifier, features).argmax(1) == classes).mean()


def present(classes: Int[Array, " example"], *, size: int) -> Bool[Array, " size"]:
    """Which of the classes occur."""
    return jnp.zeros(size, bool).at[classes].set(True)


def fit_logistic(
    features: Float[Array, "example feature"],
    classes: Int[Array, " example"],
    *,
    size: int,
) -> Linear:
    """`sklearn.linear_model.LogisticRegression()`: multinomial, C = 1, free intercept.

    Minimises the mean cross-entropy plus |weights|^2 / (2 examples).
    """
    number, width = features.shape
    extended = jnp.concatenate([features, jnp.ones((number, 1))], axis=1)
    occurs = present(classes, size=size)
    # Of two classes scikit-learn penalises the difference of the two weight vectors.
    strength = jnp.where(occurs.sum() == 2, 2, 1) / number
    penalty = strength * jnp.ones((size, width + 1)).at[:, -1].set(0)

    def value(parameters: Float[Array, "size _"]) -> Float[Array, ""]:
        logits = jnp.matmul(extended, parameters.T, precision=HIGHEST)
        log_p = jax.nn.log_softmax(jnp.where(occurs[None], logits, -1e30))
        loss = -jnp.take_along_axis(log_p, classes[:, None], axis=1).mean()
        return loss + (penalty * parameters**2).sum() / 2

    found = newton(value, jnp.zeros((size, width + 1)))
    return Linear(found[:, :-1], jnp.where(occurs, found[:, -1], -jnp.inf))


def fit_support_vectors(
    feature: Float[Array, " example"],
    classes: Int[Array, " example"],
    *,
    size: int,
    slack_cost: float,
) -> Linear:
    """`sklearn.svm.LinearSVC(C=slack_cost, class_weight="balanced")` on one feature.

    One class against the rest, squared hinge loss; the intercept is penalised too.
    A class is weighted by examples / (classes * its examples), the rest by 1, but both
    sides by their own weight if there are only two (as in LIBLINEAR).
    """
    counts = jnp.bincount(classes, length=size)
    occurs = counts > 0
    two = occurs.sum() == 2
    balance = len(classes) / (jnp.maximum(counts, 1) * occurs.sum())
    balance = jnp.where(occurs, balance, 0)

    def fit(which: Int[Array, ""]) -> Float[Array, " 2"]:
        is_class = classes == which
        sign = jnp.where(is_class, 1.0, -1.0)
        rest = jnp.where(two, balance.sum() - balance[which], 1)
        cost = 2 * slack_cost * jnp.where(is_class, balance[which], rest)

        def value(parameters: Float[Array, " 2"]) -> Float[Array, ""]:
            margin = sign * (parameters[0] * feature + parameters[1])
            loss = (cost * jnp.maximum(1 - margin, 0) ** 2).sum()
            return ((parameters**2).sum() + loss) / 2

        return newton(value, jnp.zeros(2))

    found = jax.vmap(fit)(jnp.arange(size))
    return Linear(found[:, :1], jnp.where(occurs, found[:, 1], -jnp.inf))


def fit_sparse_logistic(
    features: Float[Array, "example feature"],
    classes: Int[Array, " example"],
    *,
    size: int,
    strength: float,
    iterations: int,
) -> Linear:
    """Minimises the mean cross-entropy plus `strength` |weights|_1, intercept free.

    Adding a number to a feature's weights for all classes may leave this as it is; the
    sum of their absolute values is unique. Accelerated proximal gradient steps (Beck
    and Teboulle 2009) that restart when they overshoot (O'Donoghue and Candès 2015).
    """
    number, width = features.shape
    extended = jnp.concatenate([features, jnp.ones((number, 1))], axis=1)
    occurs, truth = present(classes, size=size), jax.nn.one_hot(classes, size)
    gram = jnp.matmul(extended.T, extended, precision=HIGHEST) / number
    # The Hessian of a softmax's cross-entropy is at most half the identity.
    rate = 2 / jnp.linalg.eigvalsh(gram)[-1]
    threshold = (rate * strength * jnp.ones((size, width + 1))).at[:, -1].set(0)

    def step(_: Int[Array, ""], state: tuple) -> tuple:
        point, ahead, momentum = state
        logits = jnp.matmul(extended, ahead.T, precision=HIGHEST)
        p = jax.nn.softmax(jnp.where(occurs[None], logits, -1e30))
        gradient = jnp.matmul((p - truth).T, extended, precision=HIGHEST) / number
        moved = ahead - rate * gradient
        new = jnp.sign(moved) * jnp.maximum(jnp.abs(moved) - threshold, 0)
        overshot = ((ahead - new) * (new - point)).sum() > 0
        momentum = jnp.where(overshot, 1.0, momentum)
        grown = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        return new, new + (momentum - 1) / grown * (new - point), grown

    start = jnp.zeros((size, width + 1))
    found, _, _ = jax.lax.fori_loop(0, iterations, step, (start, start, jnp.ones(())))
    return Linear(found[:, :-1], jnp.where(occurs, found[:, -1], -jnp.inf))


def newton(
    value: Callable[[Float[Array, "*shape"]], Float[Array, ""]],
    start: Float[Array, "*shape"],
    *,
    iterations: int = 100,
    tolerance: float = 1e-5,
) -> Float[Array, "*shape"]:
    """The minimum of a convex function, by Newton steps damped until they descend.

    A step is solved by conjugate gradients, so no Hessian is formed. Stops when no
    parameter moves by more than `tolerance` (1 + the largest parameter).
    """
    least_damping = 1e-6  # for directions without curvature

    def is_moving(state: tuple) -> Bool[Array, ""]:
        _, _, _, moved, iteration = state
        return moved & (iteration < iterations)

    def step(state: tuple) -> tuple:
        point, height, damping, _, iteration = state
        gradient, curve = jax.linearize(jax.grad(value), point)
        change, _ = jax.scipy.sparse.linalg.cg(
            lambda direction: curve(direction) + damping * direction,
            gradient,
            tol=0.1,
            maxiter=100,
        )
        lower = value(point - change)
        # Near the minimum the height is known to rounding only.
        descends = lower <= height + 1e-6 * jnp.abs(height)
        moved = jnp.abs(change).max() > tolerance * (1 + jnp.abs(point).max())
        damping = jnp.where(descends, damping / 10, damping * 10)
        return (
            jnp.where(descends, point - change, point),
            jnp.where(descends, lower, height),
            jnp.maximum(damping, least_damping),
            moved,
            iteration + 1,
        )

    state = (start, value(start), jnp.array(least_damping), jnp.array(True), 0)
    return jax.lax.while_loop(is_moving, step, state)[0]
