"""Convex classifiers at their optimum, on the device, as scikit-learn defines them.

scikit-learn iterates to a tolerance; these go on to the minimum, so the two agree as
far as scikit-learn's has converged. They are fitted to standardised features and
penalised as on the original ones, so that no scale of codes is out of reach. Classes
that do not occur are as good as not there.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vae_jax.metrics.disentanglement.newton import Point, newton
from vae_jax.metrics.disentanglement.scaling import is_constant
from vae_jax.metrics.disentanglement.softmax import Linear, softmax_of

_SMOOTHING = np.geomspace(1, 1e-6, 13)


def class_scores(
    classifier: Linear, features: Float[Array, "example feature"]
) -> Float[Array, "example size"]:
    """The score of each class, highest where it is predicted."""
    product = jnp.matmul(features, classifier.weights.T, precision="highest")
    return product + classifier.bias[None]


def accuracy(
    classifier: Linear,
    features: Float[Array, "example feature"],
    classes: Int[Array, " example"],
) -> Float[Array, ""]:
    """The share of examples whose class has the highest score."""
    return (class_scores(classifier, features).argmax(1) == classes).mean()


def fit_logistic(
    features: Float[Array, "example feature"],
    classes: Int[Array, " example"],
    *,
    size: int,
) -> Linear:
    """`sklearn.linear_model.LogisticRegression()`: multinomial, C = 1, free intercept.

    Minimises the mean cross-entropy plus |weights|^2 / (2 examples).
    """
    problem = softmax_of(features, classes, size=size)
    # Of two classes scikit-learn penalises the difference of the two weight vectors.
    strength = jnp.where(problem.occurs.sum() == 2, 2, 1) / len(features)
    penalty = problem.on_weights(strength / problem.spread**2)
    # At the minimum weights and biases sum to 0 over the classes, as at the start.
    fixed = jnp.diag(penalty) + problem.pin(jnp.ones(features.shape[1] + 1))
    found = newton(
        lambda point: problem.loss(point) + (penalty * point**2).sum() / 2,
        lambda point: problem.hessian(point) + fixed,
        jnp.zeros_like(penalty),
    )
    return problem.classifier(found)


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

    # A constant keeps its value, as its weight can stand in for the intercept.
    constant = is_constant(feature)
    mean = jnp.where(constant, 0, feature.mean())
    spread = jnp.where(constant, 1, feature.std())
    scaled = (feature - mean) / spread

    def original(point: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """Weight and intercept of the feature itself."""
        weight = point[0] / spread
        return jnp.stack([weight, point[1] - weight * mean])

    def fit(which: Int[Array, ""]) -> Float[Array, " 2"]:
        is_class = classes == which
        sign = jnp.where(is_class, 1.0, -1.0)
        rest = jnp.where(two, balance.sum() - balance[which], 1)
        cost = 2 * slack_cost * jnp.where(is_class, balance[which], rest)

        def value(point: Float[Array, " 2"]) -> Float[Array, ""]:
            margin = sign * (point[0] * scaled + point[1])
            loss = (cost * jnp.maximum(1 - margin, 0) ** 2).sum()
            return ((original(point) ** 2).sum() + loss) / 2

        return original(newton(value, jax.hessian(value), jnp.zeros(2)))

    found = jax.vmap(fit)(jnp.arange(size))
    return Linear(found[:, :1], jnp.where(occurs, found[:, 1], -jnp.inf))


def fit_sparse_logistic(
    features: Float[Array, "example feature"],
    classes: Int[Array, " example"],
    *,
    size: int,
    strength: float,
) -> Linear:
    """Minimises the mean cross-entropy plus `strength` |weights|_1, intercept free.

    An interior-point method: the absolute value is what remains of
    u - smoothing log u, u = smoothing + sqrt(smoothing^2 + weight^2), as the smoothing
    falls to 1e-6, on features of deviation 1. So near copies among the features take
    no more steps than others, weights that are 0 at the minimum come out as about
    1e-6, and exact copies get equal weights, whatever their order.

    Adding a number to a feature's weights for all classes may leave the function as it
    is; the sum of their absolute values is unique, but for exact copies.

    Source: Koh, Kim and Boyd 2007, JMLR; their barrier with its bound minimised out.
    """
    problem = softmax_of(features, classes, size=size)
    penalty = problem.on_weights(strength / problem.spread)
    # The sum of the biases is free, that of the weights is not.
    pin = problem.pin(jnp.append(jnp.zeros(features.shape[1]), 1))

    def sharpen(point: Point, level: tuple[Array, Array]) -> tuple[Point, None]:
        smoothing, tolerance = level

        def value(point: Point) -> Float[Array, ""]:
            bound = smoothing + jnp.hypot(smoothing, point)
            barrier = bound - smoothing * jnp.log(bound)
            return problem.loss(point) + (penalty * barrier).sum()

        def hessian(point: Point) -> Float[Array, "parameter parameter"]:
            root = jnp.hypot(smoothing, point)
            curvature = penalty * smoothing / (root * (smoothing + root))
            return problem.hessian(point) + jnp.diag(curvature) + pin

        return newton(value, hessian, point, tolerance=tolerance), None

    # Only the last minimum counts; the others lead there.
    tolerances = jnp.full(len(_SMOOTHING), 1e-5).at[-1].set(1e-8)
    levels = jnp.asarray(_SMOOTHING, jnp.float32), tolerances
    found, _ = jax.lax.scan(sharpen, jnp.zeros_like(penalty), levels)
    return problem.classifier(found)
