import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from vae_jax.metrics.disentanglement import classifiers

fit_logistic = jax.jit(classifiers.fit_logistic, static_argnames="size")
fit_support_vectors = jax.jit(
    classifiers.fit_support_vectors, static_argnames=("size", "slack_cost")
)
fit_sparse_logistic = jax.jit(
    classifiers.fit_sparse_logistic, static_argnames=("size", "strength")
)

SCALES = [1e-3, 1.0, 100.0, 1e4]


def problem(size, number=300, width=3, scale=1.0):
    rng = np.random.default_rng(size)
    classes = np.minimum(rng.geometric(2 / (size + 1), number) - 1, size - 1)
    features = rng.normal(size=(number, width)).astype(np.float32)
    features[:, 0] += 4 * classes / size
    return jnp.asarray(scale * features), jnp.asarray(classes)


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("scale", SCALES)
def test_logistic_regression_is_the_optimum_of_scikit_learn(size, scale):
    features, classes = problem(size, scale=scale)
    twin = LogisticRegression(tol=1e-9, solver="newton-cholesky").fit(
        np.asarray(features, float), np.asarray(classes)
    )
    found = fit_logistic(features, classes, size=size)
    weights, bias = scale * np.array(found.weights), np.array(found.bias)
    if size == 2:
        weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1]
    else:
        bias -= bias.mean()
        twin.intercept_ -= twin.intercept_.mean()
    expected = scale * twin.coef_
    atol = 2e-4 * min(1, np.abs(expected).max())
    np.testing.assert_allclose(weights, expected, atol=atol)
    np.testing.assert_allclose(bias, twin.intercept_, atol=2e-4)


@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("scale", SCALES)
def test_support_vectors_are_the_optimum_of_scikit_learn(size, scale, rounding):
    features, classes = problem(size, scale=scale)
    twin = LinearSVC(
        C=0.01, class_weight="balanced", dual=False, tol=1e-9, max_iter=10_000
    ).fit(np.asarray(features[:, :1], float), np.asarray(classes))
    found = fit_support_vectors(features[:, 0], classes, size=size, slack_cost=0.01)
    rows = len(twin.coef_)  # of two classes scikit-learn keeps the second
    found = np.stack([found.weights[-rows:, 0], found.bias[-rows:]], 1)
    expected = np.stack([twin.coef_[:, 0], twin.intercept_], 1)
    for row, optimum in enumerate(expected):
        is_class = np.asarray(classes) == row + size - rows
        error = rounding_of_optimum(
            features[:, 0], is_class, optimum, size=size, rounding=rounding
        )
        np.testing.assert_array_less(np.abs(found[row] - optimum), error)


def rounding_of_optimum(feature, is_class, optimum, *, size, rounding):
    """Of a support vector machine's weight and bias, in float32.

    At the minimum of |w, b|² / 2 + sum of cost slack² / 2 the first derivative is 0 but
    for the rounding of a sum over examples, which the inverse of the second one makes
    that of w and b.
    """
    columns = np.stack([np.float64(feature), np.ones(len(feature))], 1)
    rest = len(feature) / (size * (~is_class).sum()) if size == 2 else 1
    cost = 0.02 * np.where(is_class, len(feature) / (size * is_class.sum()), rest)
    cost *= np.where(is_class, 1, -1) * (columns @ optimum) < 1
    curvature = np.eye(2) + (cost * columns.T) @ columns
    slack_size = 1 + np.abs(columns) @ np.abs(optimum)
    sizes = (cost * slack_size) @ np.abs(columns)
    error = rounding(sizes, len(feature) + 10, at_random=True)
    return np.abs(np.linalg.inv(curvature)) @ error + rounding(np.abs(optimum), 8)


def test_sparse_logistic_regression_is_the_optimum_of_scikit_learn():
    features, classes = problem(4)
    strength = 0.02
    twin = LogisticRegression(
        l1_ratio=1.0,
        C=1 / (len(classes) * strength),
        solver="saga",
        tol=1e-7,
        max_iter=20_000,
        random_state=0,
    ).fit(np.asarray(features, float), np.asarray(classes))
    found = fit_sparse_logistic(features, classes, size=4, strength=strength)
    assert (twin.coef_ == 0).all(0).any()
    # A number added to a feature's weights for all classes may cost nothing.
    for invariant in (lambda w: w - w.mean(0), lambda w: np.abs(w).sum(0)):
        expected = invariant(twin.coef_)
        np.testing.assert_allclose(
            invariant(np.asarray(found.weights)), expected, atol=1e-4
        )


def near_copies(size, number=300):
    """A feature that follows the class, almost the same again, and an idle one."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, size, number)
    first = classes + 0.3 * rng.normal(size=number)
    second = first + 0.05 * rng.normal(size=number)
    features = np.stack([first, second, rng.normal(size=number)], 1)
    features = (features - features.mean(0)) / features.std(0)
    return jnp.asarray(features, jnp.float32), jnp.asarray(classes)


@pytest.mark.parametrize("size", [2, 3])
def test_near_copies_have_the_weights_of_scikit_learn_at_the_penalty_of_dci(size):
    features, classes = near_copies(size)
    twin = LogisticRegression(
        l1_ratio=1.0,
        C=1 / (len(classes) * 1e-3),
        solver="saga",
        tol=1e-8,
        max_iter=200_000,
        random_state=0,
    ).fit(np.asarray(features, float), np.asarray(classes))
    found = fit_sparse_logistic(features, classes, size=size, strength=1e-3)
    importance = np.abs(np.asarray(found.weights)).sum(0)
    np.testing.assert_allclose(
        importance, np.abs(twin.coef_).sum(0), rtol=1e-3, atol=1e-4
    )


def excess_nats(found, features, classes, *, strength, rounding):
    """A bound on how far above the minimum the objective is, in float64.

    And how much of it is due to rounding.

    A convex loss lies above its tangent at the weights W with gradient G, so the
    minimum is at least loss - <G, W> + the least of <G, V> + strength |V|_1; that is 0
    where no entry of G exceeds the strength, and at the minimum strength |V|_1 is at
    most the objective at W.
    """
    features, classes = np.asarray(features, float), np.asarray(classes)
    weights, bias = (np.asarray(part, float) for part in found)
    log_p = log_softmax(features @ weights.T + bias, axis=1)
    residual = np.exp(log_p) - np.eye(len(bias))[classes]
    gradient = residual.T @ features / len(classes)
    # The bias is free: its gradient must vanish.
    np.testing.assert_allclose(residual.mean(0), 0, atol=1e-5)
    beyond = max(np.abs(gradient).max() - strength, 0)
    paid = strength * np.abs(weights).sum()
    objective = paid - log_p[np.arange(len(classes)), classes].mean()
    excess = paid + (gradient * weights).sum() + objective * beyond / strength
    # Of G, a mean over the examples; <G, W> is changed no more than what is beyond.
    size = (np.abs(residual).T @ np.abs(features)).max() / len(classes)
    error = rounding(size, len(classes), at_random=True)
    return excess, 2 * objective * error / strength


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [3, 10])
def test_near_copies_are_fitted_to_the_minimum_at_any_scale(size, scale, rounding):
    features, classes = near_copies(size, number=1000)
    features, strength = scale * features, scale * 1e-3
    found = fit_sparse_logistic(features, classes, size=size, strength=strength)
    excess, error = excess_nats(
        found, features, classes, strength=strength, rounding=rounding
    )
    assert excess < error


def test_exact_copies_share_their_weight_whatever_their_order():
    features, classes = near_copies(3)
    alone = fit_sparse_logistic(features[:, 1:], classes, size=3, strength=1e-3)
    columns = jnp.array([1, 2, 1])
    both = fit_sparse_logistic(features[:, columns], classes, size=3, strength=1e-3)
    np.testing.assert_allclose(
        both.weights[:, [0, 2]], alone.weights[:, [0, 0]] / 2, rtol=1e-2, atol=1e-3
    )


def test_a_class_that_does_not_occur_is_never_predicted():
    features, classes = problem(3)
    classes = classes + (classes > 0)  # none of class 1
    for found in (
        fit_logistic(features, classes, size=4),
        fit_sparse_logistic(features, classes, size=4, strength=0.01),
        fit_support_vectors(features[:, 0], classes, size=4, slack_cost=0.01),
    ):
        width = found.weights.shape[1]
        scores = classifiers.class_scores(found, features[:, :width])
        assert (scores[:, 1] == -jnp.inf).all()
        assert jnp.isfinite(scores[:, 0]).all()


@pytest.mark.parametrize("size", [2, 3])
def test_classes_that_do_not_occur_change_nothing(size):
    features, classes = problem(size)
    for fewer, more in (
        (
            fit_logistic(features, classes, size=size),
            fit_logistic(features, classes, size=size + 2),
        ),
        (
            fit_support_vectors(features[:, 0], classes, size=size, slack_cost=0.01),
            fit_support_vectors(
                features[:, 0], classes, size=size + 2, slack_cost=0.01
            ),
        ),
    ):
        np.testing.assert_allclose(more.weights[:size], fewer.weights, atol=1e-5)
        np.testing.assert_allclose(more.bias[:size], fewer.bias, atol=1e-5)
