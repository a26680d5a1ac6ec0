import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss

from vae_jax.metrics.disentanglement.softmax import softmax_of

RNG = np.random.default_rng(0)
FEATURES = (5 + 3 * RNG.normal(size=(50, 3))).astype(np.float32)
CLASSES = RNG.integers(0, 3, 50)


@pytest.fixture(scope="module")
def problem():
    return softmax_of(jnp.asarray(FEATURES), jnp.asarray(CLASSES), size=4)


@pytest.fixture(scope="module")
def parameters():
    return jnp.asarray(RNG.normal(size=16), jnp.float32)


def test_the_loss_is_the_cross_entropy_of_the_classifier_of_the_original_features(
    problem, parameters
):
    weights, bias = problem.classifier(parameters)
    logits = FEATURES @ np.asarray(weights)[:3].T + np.asarray(bias)[:3]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = log_loss(CLASSES, p / p.sum(1, keepdims=True), labels=[0, 1, 2])
    assert problem.loss(parameters) == pytest.approx(expected, rel=1e-5)
    assert bias[3] == -jnp.inf  # class 3 does not occur


def test_the_hessian_is_that_of_automatic_differentiation(problem, parameters):
    expected = jax.hessian(problem.loss)(parameters)
    np.testing.assert_allclose(problem.hessian(parameters), expected, atol=1e-6)


def test_a_constant_has_no_weight(parameters):
    features = jnp.asarray(FEATURES).at[:, 1].set(0.3)
    constant = softmax_of(features, jnp.asarray(CLASSES), size=4)
    assert (constant.classifier(parameters).weights[:, 1] == 0).all()


def test_what_weights_pay_is_not_paid_by_biases(problem):
    paid = problem.on_weights(jnp.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(paid.reshape(4, 4), [[1, 2, 3, 0]] * 4)


def test_the_pin_is_felt_by_what_shifts_all_classes_that_occur(problem):
    pin = problem.pin(jnp.array([1.0, 0.0, 0.0, 1.0]))
    shift = np.zeros((4, 4), np.float32)
    shift[:3, [0, 1]] = 1
    felt = (pin @ shift.ravel()).reshape(4, 4)
    np.testing.assert_allclose(felt, shift * np.array([1, 0, 0, 1]), atol=1e-6)
    shift[:3, 0] = [1, -2, 1]
    assert (pin @ shift.ravel() == 0).all()
    hessian = problem.hessian(jnp.zeros(16))
    shift[:3] = 1
    np.testing.assert_allclose(hessian @ shift.ravel(), np.zeros(16), atol=1e-5)
