import pickle

import jax
import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_jax.estimators import VAEAnomalyDetector, network

OFF = np.array([3.0, 3.0, 0.0, 0.0])
SMALL = {"latents": 2, "hidden": (16,), "n_epochs": 5}


@parametrize_with_checks([VAEAnomalyDetector(**SMALL)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def line(count, seed=0):
    """Rows along a line in 4 dimensions, with a little noise."""
    rng = np.random.default_rng(seed)
    direction = np.array([1.0, -2.0, 0.5, 1.0])
    along = rng.normal(size=(count, 1))
    return along * direction + 0.05 * rng.normal(size=(count, 4)) + 10.0


@pytest.fixture(scope="module")
def fitted():
    return VAEAnomalyDetector(
        latents=1, hidden=(32,), n_epochs=200, random_state=0
    ).fit(line(500))


@pytest.mark.parametrize(
    "score_type", ["reconstruction", "elbo", "importance_weighted"]
)
def test_rows_off_the_line_score_lower(fitted, score_type):
    normal = line(200, seed=1)
    off = normal + np.random.default_rng(2).normal(size=normal.shape)
    labels = np.repeat([0, 1], 200)
    scored = pickle.loads(pickle.dumps(fitted)).set_params(score_type=score_type)
    scores = scored.anomaly_score(np.concatenate([normal, off]))
    assert roc_auc_score(labels, scores) > 0.95


def test_the_kl_is_blind_to_rows_off_the_line_and_sees_those_far_along_it(fitted):
    scored = pickle.loads(pickle.dumps(fitted)).set_params(score_type="kl")
    far = 10.0 + 4 * np.array([[1.0, -2.0, 0.5, 1.0]])
    assert scored.anomaly_score(far)[0] > scored.anomaly_score(line(200)).max()


def test_a_linear_network_reaches_the_likelihood_of_probabilistic_pca():
    """The optimum of a linear VAE is probabilistic PCA (Lucas et al. 2019)."""
    rows = line(512) + 0.5 * np.random.default_rng(1).normal(size=(512, 4))
    detector = VAEAnomalyDetector(
        latents=1,
        hidden=(),
        score_type="importance_weighted",
        n_epochs=1500,
        batch_size=512,
        learning_rate=3e-3,
        n_samples=200,
        random_state=0,
    ).fit(rows)
    standardised = (rows - rows.mean(0)) / rows.std(0)
    exact = PCA(1).fit(standardised).score_samples(standardised)
    np.testing.assert_allclose(
        detector.score_samples(rows).mean(), exact.mean(), atol=0.1
    )


def test_more_importance_samples_only_help(fitted):
    rows = line(100, seed=3)
    scored = pickle.loads(pickle.dumps(fitted))
    # Enough samples for their mean KL to be the analytic one of the ELBO.
    scored.noise_ = np.random.default_rng(0).normal(size=(2000, 1)).astype(np.float32)
    elbo = scored.set_params(score_type="elbo").score_samples(rows)
    bound = scored.set_params(score_type="importance_weighted").score_samples(rows)
    assert (bound > elbo - 0.05).all()
    assert bound.mean() > elbo.mean()


def test_beta_changes_the_result_and_the_seed_repeats_it():
    rows = line(64)
    scores = [
        VAEAnomalyDetector(**SMALL, beta=beta, random_state=0)
        .fit(rows)
        .score_samples(rows)
        for beta in (1.0, 1.0, 10.0)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.abs(scores[0] - scores[2]).max() > 1e-3


def test_a_threshold_set_on_held_out_rows_keeps_its_promise(fitted):
    detector = pickle.loads(pickle.dumps(fitted)).set_params(contamination=0.1)
    detector.calibrate(line(2000, seed=5))
    rate = (detector.predict(line(2000, seed=6)) < 0).mean()
    # Two binomial samples of 2000: three standard deviations.
    assert rate == pytest.approx(0.1, abs=3 * np.sqrt(2 * 0.09 / 2000))


@pytest.mark.parametrize(
    ("contamination", "rows", "below"), [(0.1, 49, 4), (0.1, 48, 3), (0.1, 5, 0)]
)
def test_a_new_row_is_an_outlier_with_at_most_the_promised_probability(
    fitted, contamination, rows, below
):
    """As likely as to be one of the k lowest of n + 1: k - 1 of the n lie below."""
    detector = pickle.loads(pickle.dumps(fitted)).set_params(
        contamination=contamination
    )
    calibration = line(rows, seed=5)
    detector.calibrate(calibration)
    assert (detector.predict(calibration) < 0).sum() == below


def test_where_the_rows_lie_does_not_matter():
    """A date in seconds is 1e9 and more; float32 knows it to two minutes."""
    near, far = (
        VAEAnomalyDetector(**SMALL, random_state=0)
        .fit(line(64) + shift)
        .score_samples(line(64) + shift)
        for shift in (0.0, 2e9)
    )
    np.testing.assert_allclose(far, near, rtol=1e-2, atol=1e-2)


def test_drift_is_seen_and_its_absence_too(fitted):
    detector = pickle.loads(pickle.dumps(fitted)).calibrate(line(500, seed=7))
    assert detector.drift(line(500, seed=8)).p_value > 0.01
    shifted = line(500, seed=8) + 0.3 * np.array([1.0, 1.0, 0.0, 0.0])
    assert detector.drift(shifted).p_value < 1e-6


def test_aliases_say_the_same(fitted):
    rows = np.concatenate([line(20, seed=9), line(20, seed=9) + OFF])
    np.testing.assert_array_equal(
        fitted.anomaly_score(rows), -fitted.score_samples(rows)
    )
    np.testing.assert_array_equal(
        fitted.predict_anomaly(rows), fitted.predict(rows) < 0
    )
    above = fitted.anomaly_score(rows) > fitted.threshold_
    np.testing.assert_array_equal(fitted.predict_anomaly(rows), above)
    assert fitted.percentile == pytest.approx(95.0)


def test_bernoulli_wants_features_in_the_unit_interval():
    detector = VAEAnomalyDetector(**SMALL, likelihood="bernoulli")
    rows = (line(32) > 10).astype(float)
    assert np.isfinite(detector.fit(rows).score_samples(rows)).all()
    for refused in (detector.score_samples, detector.fit):
        with pytest.raises(ValueError, match=r"wants features in \[0, 1\], got val"):
            refused(line(32))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contamination", 0.7),
        ("latents", 0),
        ("n_epochs", 0),
        ("batch_size", 0),
        ("n_samples", 0),
        ("learning_rate", 0.0),
        ("beta", -1.0),
        ("likelihood", "poisson"),
        ("score_type", "elbow"),
    ],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value!r}"):
        VAEAnomalyDetector(**{name: value}).fit(line(8))


def test_divergence_is_an_error():
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        VAEAnomalyDetector(**SMALL, learning_rate=1e30, random_state=0).fit(line(64))


def test_it_runs_without_more_than_one_compiled_program_for_a_table():
    detector = VAEAnomalyDetector(**SMALL, random_state=0).fit(line(40))
    before = network._scores._cache_size()
    for count in (1, 7, 300):
        detector.score_samples(line(count))
    assert network._scores._cache_size() == before
    assert all(
        isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(detector.params_)
    )
