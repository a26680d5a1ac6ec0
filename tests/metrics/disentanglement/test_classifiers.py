import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from vae_jax.metrics.disentanglement import classifiers

fit_logistic = jax.jit(classifiers.fit_logistic, static_argnames="size")
fit_support_vectors = jax.jit(
    classifiers.fit_support_vectors, static_argnames=("size", "slack_cost")
)
fit_sparse_logistic = jax.jit(
    classifiers.fit_sparse_logistic, static_argnames=("size", "strength", "iterations")
)


def problem(size, number=300, width=3):
    rng = np.random.default_rng(size)
    classes = np.minimum(rng.geometric(2 / (size + 1), number) - 1, size - 1)
    features = rng.normal(size=(number, width)).astype(np.float32)
    features[:, 0] += 4 * classes / size
    return jnp.asarray(features), jnp.asarray(classes)


@pytest.mark.parametrize("size", [2, 5])
def test_logistic_regression_is_the_optimum_of_scikit_learn(size):
    features, classes = problem(size)
    twin = LogisticRegression(tol=1e-9, max_iter=5000).fit(
        np.asarray(features, float), np.asarray(classes)
    )
    found = fit_logistic(features, classes, size=size)
    weights, bias = np.array(found.weights), np.array(found.bias)
    if size == 2:
        weights, bias = weights[1:] - weights[:1], bias[1:] - bias[:1]
    else:
        bias -= bias.mean()
        twin.intercept_ -= twin.intercept_.mean()
    np.testing.assert_allclose(weights, twin.coef_, atol=2e-4)
    np.testing.assert_allclose(bias, twin.intercept_, atol=2e-4)


@pytest.mark.parametrize("size", [2, 5])
def test_support_vectors_are_the_optimum_of_scikit_learn(size):
    features, classes = problem(size)
    twin = LinearSVC(
        C=0.01, class_weight="balanced", dual=False, tol=1e-9, max_iter=10_000
    ).fit(np.asarray(features[:, :1], float), np.asarray(classes))
    found = fit_support_vectors(features[:, 0], classes, size=size, slack_cost=0.01)
    rows = len(twin.coef_)  # of two classes scikit-learn keeps the second
    np.testing.assert_allclose(found.weights[-rows:], twin.coef_, atol=1e-5)
    np.testing.assert_allclose(found.bias[-rows:], twin.intercept_, atol=1e-5)


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
    found = fit_sparse_logistic(
        features, classes, size=4, strength=strength, iterations=2000
    )
    assert (twin.coef_ == 0).all(0).any()
    # A number added to a feature's weights for all classes may cost nothing.
    for invariant in (lambda w: w - w.mean(0), lambda w: np.abs(w).sum(0)):
        expected = invariant(twin.coef_)
        np.testing.assert_allclose(
            invariant(np.asarray(found.weights)), expected, atol=1e-4
        )


def test_a_class_that_does_not_occur_is_never_predicted():
    features, classes = problem(3)
    classes = classes + (classes > 0)  # none of class 1
    for found in (
        fit_logistic(features, classes, size=4),
        fit_sparse_logistic(features, classes, size=4, strength=0.01, iterations=50),
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


def test_newton_finds_the_minimum_of_a_quadratic_and_goes_on_where_it_is_flat():
    scale = jnp.array([1.0, 100.0, 0.0])
    found = jax.jit(
        lambda start: classifiers.newton(lambda x: (scale * (x - 3) ** 2).sum(), start)
    )(jnp.array([0.0, 50.0, 7.0]))
    np.testing.assert_allclose(found, [3, 3, 7], rtol=1e-4)


def test_newton_takes_the_step_back_where_it_overshoots():
    # From 3, an undamped step on log cosh goes to -98.
    found = jax.jit(
        lambda start: classifiers.newton(lambda x: jnp.logaddexp(x, -x).sum(), start)
    )(jnp.array([3.0]))
    np.testing.assert_allclose(found, [0], atol=1e-4)
