import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from vae_jax.metrics import disentanglement as d
from vae_jax.metrics.disentanglement import scaling, separability


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_sap_is_the_gap_of_scikit_learn_support_vectors(mixed, scale):
    codes = np.float32(scale) * mixed.codes
    found = d.sap(codes, mixed.factors, mixed.split)
    train, test = mixed.split
    expected = np.zeros((3, 2))
    for i in range(3):
        code = codes[:, i : i + 1].astype(float)
        for k in range(2):
            twin = LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-8)
            twin.fit(code[train], mixed.classes[train, k])
            expected[i, k] = twin.score(code[test], mixed.classes[test, k])
    np.testing.assert_allclose(found.predictability, expected, atol=1e-6)
    best = np.sort(expected, 0)[::-1]
    assert found.score == pytest.approx((best[0] - best[1]).mean(), abs=1e-6)


def test_sap_of_codes_that_know_nothing_or_everything_twice_is_zero(mixed):
    for codes in (np.zeros((400, 3)), mixed.codes[:, [0, 0, 0]]):
        assert d.sap(codes, mixed.factors, mixed.split).score == 0


def test_sap_of_one_latent_for_a_factor_of_two_values():
    classes = np.random.default_rng(0).integers(0, 2, (1000, 1))
    codes = np.stack([classes[:, 0], np.zeros(1000)], 1)
    split = d.Split(jnp.arange(600), jnp.arange(600, 1000))
    found = d.sap(codes, d.labelled(classes), split)
    larger = max(classes[600:].mean(), 1 - classes[600:].mean())
    assert found.predictability[0, 0] == 1
    assert found.score in (
        pytest.approx(larger, abs=1e-6),
        pytest.approx(1 - larger, abs=1e-6),
    )


def rounding_of_square(squared, examples, rounding):
    """Of a correlation's square: a sum of products over the roots of two such sums."""
    error = rounding(1, 2 * (examples + 10))
    return 2 * np.sqrt(squared) * error + error**2


def test_sap_by_correlation_of_identity_zeros_and_duplicates(ten, rounding):
    number = 1000  # of which each counts for more than rounding
    classes, identity = ten.classes[:number], ten.identity[:number]
    factors = d.labelled(classes)
    found = d.sap_correlation(identity, factors)
    assert found.score > 0.9
    assert d.sap_correlation(ten.zeros[:number], factors).score == 0
    twice = d.sap_correlation(ten.duplicated[:number], factors)
    assert 0 <= twice.score < 2 * rounding_of_square(1, number, rounding)
    expected = np.corrcoef(identity.T, classes.T)[:10, 10:] ** 2
    error = rounding_of_square(expected, number, rounding)
    np.testing.assert_array_less(np.abs(found.predictability - expected), error)


@pytest.mark.parametrize("seed", range(10))
def test_sap_by_correlation_exceeds_one_by_no_rounding(seed, rounding):
    classes = np.random.default_rng(seed).integers(0, 5, (777, 2))
    found = d.sap_correlation(3.0 * classes + 1, d.labelled(classes))
    assert (found.predictability <= 1).all()
    own = np.diag(found.predictability)
    np.testing.assert_array_less(1 - own, rounding_of_square(1, 777, rounding))


def test_explicitness_is_that_of_scikit_learn(mixed):
    found = d.explicitness(mixed.codes, mixed.factors, mixed.split)
    train, test = mixed.split
    codes = np.float64(mixed.codes)
    scaler = StandardScaler().fit(codes[train])
    scores = []
    for truth in mixed.classes.T:
        twin = LogisticRegression(tol=1e-8, max_iter=1000)
        twin.fit(scaler.transform(codes[train]), truth[train])
        p = twin.predict_proba(scaler.transform(codes[test]))
        of_class = []
        for c, scored in enumerate(p.T):
            is_class = truth[test] == c
            # Rounding swaps no two examples that are to be told apart.
            gaps = scored[is_class][:, None] - scored[~is_class]
            assert np.abs(gaps).min() > 1e-5
            of_class.append(roc_auc_score(is_class, scored))
        scores.append(np.mean(of_class))
    assert found == pytest.approx(np.mean(scores), abs=1e-6)


def test_explicitness_of_nothing_is_one_half_and_of_the_classes_one():
    classes = np.random.default_rng(0).integers(0, 3, (300, 2))
    factors, split = d.labelled(classes), d.Split(jnp.arange(200), jnp.arange(200, 300))
    dead = d.explicitness(np.full((300, 6), 0.3), factors, split)
    assert dead == pytest.approx(0.5, abs=1e-6)
    one_hot = np.eye(3)[classes].reshape(300, 6)
    assert d.explicitness(one_hot, factors, split) == pytest.approx(1, abs=1e-6)


def test_a_class_that_was_not_fitted_is_left_out():
    """The third value of the factor occurs among the examples to score on alone."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 0, 1, 2], [100, 100, 30, 40, 30])[:, None]
    codes = classes + 0.01 * rng.normal(size=(300, 2))
    split = d.Split(jnp.arange(200), jnp.arange(200, 300))
    found = d.explicitness(codes, d.labelled(classes), split)
    # Class 0 is below both others; class 1 is above 0 and, further out, below 2.
    assert found == pytest.approx((1 + 30 / (30 + 30)) / 2, abs=0.01)


@pytest.mark.parametrize(("values", "got"), [([1, 1], r"\[1\]"), ([2, 3], r"\[2, 3\]")])
def test_explicitness_needs_classes_to_score(values, got):
    classes = np.array([0, 1, 0, 1, *values, 2, 3])[:, None]
    split = d.Split(jnp.arange(4), jnp.array([4, 5]))
    with pytest.raises(ValueError, match=rf"explicitness: .* factor 0 has {got}; take"):
        d.explicitness(np.zeros((8, 2)), d.labelled(classes), split)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([2, 5, 1000]))
def test_auroc_is_that_of_scikit_learn_whatever_the_ties(seed, levels):
    rng = np.random.default_rng(seed)
    truth = np.append(rng.random(48) < 0.3, [True, False])
    scores = (rng.integers(0, levels, 50) / levels).astype(np.float32)
    found = separability.auroc(jnp.asarray(scores), jnp.asarray(truth))
    assert found == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)


def test_auroc_of_one_class_is_undefined():
    assert np.isnan(separability.auroc(jnp.ones(3), jnp.ones(3, bool)))


def test_equal_values_share_the_mean_of_their_ranks():
    values = jnp.array([3.0, 1, 3, 2, 3])
    np.testing.assert_array_equal(scaling.average_ranks(values), [4, 1, 4, 2, 4])


@pytest.mark.parametrize("module", [np, jnp])
def test_a_column_is_constant_if_all_examples_are_equal(module):
    # The mean of many 0.1 is rounded, so that their deviation is not 0.
    columns = module.full((999, 3), 0.1, "float32")
    changed = np.asarray(columns).copy()
    changed[998, 1] = 0.2
    assert np.asarray(scaling.is_constant(columns)).all()
    found = scaling.is_constant(module.asarray(changed))
    np.testing.assert_array_equal(found, [True, False, True])
    assert scaling.is_constant(jnp.asarray(columns)[:, 0])


def test_the_spread_of_a_constant_is_infinite():
    mean, spread = scaling.mean_and_spread(jnp.array([[0.3, 1], [0.3, 3]]))
    np.testing.assert_allclose(mean, [0.3, 2], rtol=1e-6)
    np.testing.assert_allclose(spread, [np.inf, 1])


def test_a_constant_is_standardised_to_zero():
    train = jnp.array([[0.3, 1], [0.3, 3]])
    found, other = scaling.standardised(train, train + 1)
    np.testing.assert_allclose(found, [[0, -1], [0, 1]])
    np.testing.assert_allclose(other, [[0, 0], [0, 2]])
