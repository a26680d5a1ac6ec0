import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax import losses


def test_cross_entropy_of_even_odds_is_the_logarithm_of_the_classes():
    found = losses.cross_entropy(jnp.zeros((3, 4)), jnp.array([0, 1, 3]))
    np.testing.assert_allclose(found, np.log(4), rtol=1e-6)
    sure = losses.cross_entropy(jnp.array([[0.0, np.log(3)]]), jnp.array([1]))
    np.testing.assert_allclose(sure, np.log(4 / 3), rtol=1e-6)


def test_the_bound_of_two_classes_by_hand():
    # q = (1/4, 3/4), L = (8, 4): 2 + 3 minus the entropy.
    found = losses.unlabelled_bound(
        jnp.array([[8.0, 4.0]]), jnp.array([[0.0, np.log(3)]])
    )
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    np.testing.assert_allclose(found, 5 - entropy, rtol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31 - 1), st.integers(1, 12))
def test_it_bounds_the_sum_over_classes_and_is_equal_at_the_true_posterior(
    seed, classes
):
    rng = np.random.default_rng(seed)
    each = jnp.asarray(rng.normal(0, 10, (5, classes)), jnp.float32)
    exact = -jax.nn.logsumexp(-each, axis=1)
    other = jnp.asarray(rng.normal(0, 3, (5, classes)), jnp.float32)
    assert (losses.unlabelled_bound(each, other) >= exact - 1e-4).all()
    # Terms of 30 at most, 12 of them: 12 · 30 · 6e-8 and as much for the exponentials.
    np.testing.assert_allclose(losses.unlabelled_bound(each, -each), exact, atol=1e-4)


def test_a_class_that_cannot_be_has_no_part_and_no_nan():
    each, logits = jnp.array([[3.0, 50.0]]), jnp.array([[0.0, -200.0]])
    value, gradient = jax.value_and_grad(
        lambda logits: losses.unlabelled_bound(each, logits).sum()
    )(logits)
    np.testing.assert_allclose(value, 3.0, rtol=1e-6)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (jnp.array([0]), r"one for each of 2 rows, got shape \(1,\)"),
        (jnp.array([0, 3]), "from 0 to 2, got 0 to 3"),
        (jnp.array([-1, 0]), "from 0 to 2, got -1 to 0; leave out what has no label"),
    ],
)
def test_labels_that_would_be_clamped_or_broadcast_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        losses.cross_entropy(jnp.zeros((2, 3)), labels)


def test_inside_jit_a_label_that_is_no_class_gives_nan_and_not_another_class():
    found = jax.jit(losses.cross_entropy)(jnp.zeros((3, 3)), jnp.array([-1, 0, 3]))
    np.testing.assert_allclose(found, [np.nan, np.log(3), np.nan], rtol=1e-6)


def test_a_loss_for_every_class_is_wanted():
    with pytest.raises(ValueError, match=r"both be \[batch class\]"):
        losses.unlabelled_bound(jnp.zeros((2, 3)), jnp.zeros((2, 1)))
