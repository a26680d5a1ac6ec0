import math

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from vae_jax.metrics import disentanglement as d

EYE = np.eye(5)
HALF = 1 - math.log(2) / math.log(10)


@pytest.mark.parametrize(
    ("importance", "disentanglement", "completeness"),
    [
        (5 * EYE, 1, 1),
        ([[1, 0], [0, 1], [0, 0]], 1, 1),
        (np.zeros((10, 10)), 0, 0),
        (np.concatenate([EYE, EYE]), 1, HALF),
        (5 * EYE[:2], 1, 1),
        (np.concatenate([EYE, EYE], 1), HALF, 1),
        # Rows weigh 3 and 1: (3 * (1 - h(1/3)) + 1) / 4, columns 1 and 3.
        (
            [[2, 1], [0, 1]],
            0.75 * (1 + (math.log2(1 / 3) + 2 * math.log2(2 / 3)) / 3) + 0.25,
            0.5,
        ),
    ],
)
def test_scores_of_matrices(importance, disentanglement, completeness):
    importance = jnp.asarray(importance, jnp.float32)
    found = d.disentanglement_of(importance)
    assert found == pytest.approx(disentanglement, abs=1e-6)
    assert d.completeness_of(importance) == pytest.approx(completeness, abs=1e-6)


def ten_by_ten():
    """Ten factors of ten values, 1000 examples to fit and 1000 to score on."""
    classes = np.random.default_rng(0).integers(0, 10, (2000, 10))
    split = d.Split(jnp.arange(1000), jnp.arange(1000, 2000))
    return d.labelled(classes), classes.astype(np.float32) + 1, split


@pytest.mark.parametrize(
    "metric",
    [d.dci_logistic, pytest.param(d.dci_trees, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(
    ("change", "disentanglement", "completeness"),
    [
        (lambda codes: codes, (0.9, 1), (0.9, 1)),
        (
            lambda codes: np.random.default_rng(1).permuted(codes, axis=1),
            (0, 0.2),
            (0, 0.2),
        ),
        (
            lambda codes: np.tile(codes, 2),
            (0.9, 1),
            (HALF - 0.1, HALF + 0.1),
        ),
    ],
    ids=["identity", "permuted", "duplicated"],
)
def test_known_answers_of_ten_factors(metric, change, disentanglement, completeness):
    """Those of `disentanglement_lib`, to its tolerances."""
    factors, codes, split = ten_by_ten()
    found = metric(change(codes), factors, split)
    low, high = disentanglement
    assert low <= found.disentanglement <= high
    low, high = completeness
    assert low <= found.completeness <= high


def test_near_copies_of_latents_are_weighed_as_they_are_used():
    """At the minimum nearly all weight is on the latents without the added noise."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 5, (3000, 3))
    copies = classes + 0.05 * rng.normal(size=classes.shape)
    codes = np.concatenate([classes, copies], 1)
    split = d.Split(jnp.arange(2000), jnp.arange(2000, 3000))
    found = d.dci_logistic(codes, d.labelled(classes), split)
    assert found.completeness > 0.9
    assert (np.diag(found.importance[:3]) > 20 * np.diag(found.importance[3:])).all()


def three_factors(number=450):
    classes = np.random.default_rng(0).integers(0, 3, (number, 3))
    split = d.Split(jnp.arange(300), jnp.arange(300, number))
    return classes, classes.astype(np.float32), split


@pytest.mark.parametrize("metric", [d.dci_trees, d.dci_logistic])
def test_identity_and_factors_in_an_order_of_their_own_each(metric):
    classes, identity, split = three_factors()
    factors = d.labelled(classes)
    found = metric(identity, factors, split)
    assert found.disentanglement > 0.9
    assert found.completeness > 0.9
    assert found.informativeness > 0.99
    np.testing.assert_array_equal(found.importance.argmax(0), [0, 1, 2])
    # Of independent latents of the same law, none tells the factors apart.
    shuffled = np.random.default_rng(1).permuted(identity, axis=1)
    shuffled = metric(shuffled, factors, split)
    assert shuffled.disentanglement < 0.2
    assert shuffled.completeness < 0.2


@pytest.mark.parametrize("metric", [d.dci_trees, d.dci_logistic])
def test_a_code_that_is_there_twice_is_less_complete(metric):
    classes, identity, split = three_factors()
    found = metric(np.tile(identity, 2), d.labelled(classes), split)
    assert found.disentanglement > 0.9
    assert found.completeness == pytest.approx(1 - math.log(2) / math.log(6), abs=0.1)


def test_trees_are_those_of_scikit_learn(mixed):
    found = d.dci_trees(mixed.codes, mixed.factors, mixed.split, seed=3)
    train, test = mixed.split
    accuracy = []
    for k in range(2):
        trees = GradientBoostingClassifier(random_state=3)
        trees.fit(mixed.codes[train], mixed.classes[train, k])
        np.testing.assert_allclose(
            found.importance[:, k], trees.feature_importances_, rtol=1e-5
        )
        accuracy.append(trees.score(mixed.codes[test], mixed.classes[test, k]))
    assert found.informativeness == pytest.approx(np.mean(accuracy))


def test_the_logistic_variant_does_not_depend_on_scale_or_offset(mixed):
    first = d.dci_logistic(mixed.codes, mixed.factors, mixed.split)
    second = d.dci_logistic(4 * mixed.codes - 7, mixed.factors, mixed.split)
    np.testing.assert_allclose(first.importance, second.importance, rtol=1e-2)


@pytest.mark.parametrize("shape", [(3, 1), (1, 3)])
def test_one_factor_or_latent_has_no_entropy_to_compare_with(shape):
    score = d.disentanglement_of if shape[1] == 1 else d.completeness_of
    with pytest.raises(ValueError, match=f"{score.__name__}: .* needs two, got 1"):
        score(jnp.ones(shape))


def test_a_dead_latent_has_no_importance(mixed):
    codes = np.concatenate([mixed.codes, np.full((400, 1), 0.3)], 1)
    found = d.dci_logistic(codes, mixed.factors, mixed.split)
    assert (found.importance[3] == 0).all()
    assert jnp.isfinite(found.disentanglement)
