import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from vae_jax import losses

LOGITS = jnp.array([[2.0, -1.0], [0.5, 0.5], [-4.0, 1.0]])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_permuting_keeps_each_latents_values(seed):
    latents = jnp.arange(24.0).reshape(8, 3)
    permuted = losses.permute_latents(latents, key=jax.random.key(seed))
    np.testing.assert_array_equal(jnp.sort(permuted, axis=0), latents)


def test_permuting_leaves_no_dependence_between_latents():
    shared = jax.random.normal(jax.random.key(0), (4000, 1))
    latents = jnp.tile(shared, 3)  # Correlation 1.
    permuted = losses.permute_latents(latents, key=jax.random.key(1))
    correlation = np.corrcoef(permuted.T) - np.eye(3)
    assert np.abs(correlation).max() < 4 / math.sqrt(4000)


def test_density_ratio_is_the_first_logit_less_the_second():
    np.testing.assert_allclose(losses.density_ratio(LOGITS), [3.0, 0.0, -5.0])


def test_density_ratio_of_the_best_discriminator_gives_the_total_correlation():
    # Of two normals with correlation r against their marginals the log-ratio is
    # quadratic: log p(x, y) - log p(x) p(y).
    r, number = 0.6, 100_000
    x, noise = jax.random.normal(jax.random.key(0), (2, number))
    y = r * x + math.sqrt(1 - r**2) * noise
    quadratic = (r**2 * x**2 - 2 * r * x * y + r**2 * y**2) / (2 * (1 - r**2))
    log_ratio = -0.5 * math.log(1 - r**2) - quadratic
    logits = jnp.stack([log_ratio, jnp.zeros(number)], 1) + 3.0
    np.testing.assert_allclose(
        losses.density_ratio(logits).mean(),
        -0.5 * math.log(1 - r**2),
        atol=4 * float(log_ratio.std()) / math.sqrt(number),
    )


def test_an_undecided_discriminator_loses_log_2():
    undecided = jnp.full((4, 2), 0.7)
    loss = losses.discriminator_loss(undecided, undecided)
    np.testing.assert_allclose(loss, math.log(2), rtol=1e-6)


def test_discriminator_loss_is_the_cross_entropy_of_class_0_and_class_1():
    log_p = log_softmax(np.float64(LOGITS), axis=1)
    expected = -0.5 * (log_p[:, 0] + log_p[::-1, 1])
    loss = losses.discriminator_loss(LOGITS, LOGITS[::-1])
    # Sums of positive terms, so under 16 roundings are at most 1e-6 of them.
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_a_wrong_discriminator_loses_its_margin_and_no_more():
    wrong = jnp.array([[-1000.0, 1000.0]])
    np.testing.assert_allclose(losses.discriminator_loss(wrong, wrong), [1000.0])
    np.testing.assert_allclose(losses.discriminator_loss(wrong, -wrong), [2000.0])


def test_accuracy_counts_each_class_as_half():
    found = losses.discriminator_accuracy(LOGITS, -LOGITS)
    np.testing.assert_array_equal(found, [1.0, 0.5, 0.0])
    found = losses.discriminator_accuracy(LOGITS, LOGITS)
    np.testing.assert_array_equal(found, [0.5, 0.5, 0.5])


@pytest.mark.parametrize("name", ["discriminator_loss", "discriminator_accuracy"])
@pytest.mark.parametrize("number", [1, 2])
def test_classes_must_be_as_many(name, number):
    # Unwrapped, because the shape checks of the test run would speak first.
    function = inspect.unwrap(getattr(losses, name))
    with pytest.raises(ValueError, match=f"^{name}: joint_logits and"):
        function(LOGITS, LOGITS[:number])


@pytest.mark.parametrize("shape", [(4, 1), (4, 3), (4,), (2, 2, 1)])
@pytest.mark.parametrize(
    "function",
    [losses.density_ratio, losses.discriminator_loss, losses.discriminator_accuracy],
)
def test_a_discriminator_of_any_but_two_logits_is_refused(function, shape):
    # One logit would be its own difference: log 2 for ever, and no gradient.
    logits = jnp.ones(shape)
    arguments = [logits] * (1 if function is losses.density_ratio else 2)
    with pytest.raises(ValueError, match=r"^density_ratio: logits must be \[batch 2\]"):
        inspect.unwrap(function)(*arguments)


def test_a_discriminator_that_cannot_tell_is_right_half_of_the_time():
    tie, right = jnp.array([[0.3, 0.3]]), jnp.array([[2.0, -1.0]])
    accuracy = losses.discriminator_accuracy
    np.testing.assert_array_equal(accuracy(tie, tie), [0.5])
    np.testing.assert_array_equal(accuracy(right, tie), [0.75])
    np.testing.assert_array_equal(accuracy(tie, -right), [0.75])
    np.testing.assert_array_equal(accuracy(right, -right), [1.0])
    np.testing.assert_array_equal(accuracy(-right, right), [0.0])
