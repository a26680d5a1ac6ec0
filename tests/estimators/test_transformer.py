import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from vae_jax.estimators import VAE

SMALL = {"latents": 2, "hidden": (16,), "n_epochs": 5, "n_samples": 5}


@parametrize_with_checks([VAE(**SMALL)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def table(count=512, seed=0):
    """Two directions of variance in 5 features of very different scales."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(2, 5)) * [[3.0], [1.5]]
    rows = rng.normal(size=(count, 2)) @ mixing + 0.5 * rng.normal(size=(count, 5))
    return rows * [1.0, 100.0, 0.01, 1.0, 5.0] + [0.0, 7000.0, 0.0, -3.0, 1.0]


ROWS = table()


@pytest.fixture(scope="module")
def linear():
    """One without hidden layers, whose optimum is probabilistic PCA."""
    return VAE(
        latents=2,
        hidden=(),
        n_epochs=800,
        batch_size=512,
        learning_rate=1e-2,
        n_samples=200,
        random_state=0,
    ).fit(ROWS)


@pytest.fixture(scope="module")
def pca():
    standardised = (ROWS - ROWS.mean(0)) / ROWS.std(0)
    return PCA(2).fit(standardised), standardised


def test_its_score_is_a_density_of_the_rows_as_they_are(linear, pca):
    """That of standardised rows, less the log of what they were divided by."""
    exact = pca[0].score(pca[1]) - np.log(ROWS.std(0)).sum()
    assert linear.score(ROWS) == pytest.approx(exact, abs=0.03)


def test_its_latents_are_the_principal_ones(linear, pca):
    codes, components = linear.transform(ROWS), pca[0].transform(pca[1])
    found = np.corrcoef(codes.T, components.T)[:2, 2:]
    np.testing.assert_allclose(np.sort(np.abs(found).ravel())[2:], 1, atol=0.02)


def test_what_comes_back_is_near_what_went_in(linear, pca):
    back = linear.inverse_transform(linear.transform(ROWS))
    theirs = pca[0].inverse_transform(pca[0].transform(pca[1]))
    error = np.square((back - ROWS) / ROWS.std(0)).mean()
    # Posterior means lie nearer to 0 than projections do.
    assert error < 1.05 * np.square(theirs - pca[1]).mean()


def test_samples_have_the_moments_of_the_rows(linear):
    drawn = linear.sample(4000, random_state=1)
    scale = ROWS.std(0)
    np.testing.assert_allclose(drawn.mean(0) / scale, ROWS.mean(0) / scale, atol=0.1)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(ROWS.T), atol=0.06)
    np.testing.assert_allclose(drawn.std(0), scale, rtol=0.06)
    np.testing.assert_array_equal(drawn, linear.sample(4000, random_state=1))
    assert np.abs(linear.sample(3) - linear.sample(3)).max() > 0


def test_a_unit_ten_times_smaller_costs_log_ten_a_feature():
    scores = [
        VAE(**SMALL, random_state=0).fit(rows).score(rows) for rows in (ROWS, 10 * ROWS)
    ]
    assert scores[0] - scores[1] == pytest.approx(5 * np.log(10), abs=1e-3)


def test_a_row_is_transformed_as_if_it_were_alone_and_always_alike(linear):
    codes = linear.transform(ROWS)
    np.testing.assert_array_equal(linear.transform(ROWS[7:8]), codes[7:8])
    again = pickle.loads(pickle.dumps(linear)).transform(ROWS)
    np.testing.assert_array_equal(again, codes)


def test_bits_come_back_as_probabilities_and_are_drawn_as_bits():
    bits = (ROWS.mean(0) < ROWS).astype(float)
    vae = VAE(**SMALL, likelihood="bernoulli", random_state=0).fit(bits)
    back = vae.inverse_transform(vae.transform(bits))
    assert 0 < back.min() < back.max() < 1
    drawn = vae.sample(50, random_state=0)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert vae.score(bits) < 0


def test_it_is_a_step_of_a_pipeline_with_names():
    labels = ROWS[:, 0] > ROWS[:, 0].mean()
    pipeline = make_pipeline(VAE(**SMALL, random_state=0), LogisticRegression())
    pipeline.fit(ROWS, labels)
    assert list(pipeline[:-1].get_feature_names_out()) == ["vae0", "vae1"]
    assert pipeline.predict(ROWS).shape == labels.shape


@pytest.mark.parametrize(
    ("name", "value"),
    [("latents", 0), ("n_epochs", 0), ("beta", -1.0), ("likelihood", "poisson")],
)
def test_bad_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=f"^VAE: {name} must be .*, got {value!r}"):
        VAE(**{name: value}).fit(ROWS)


def test_latents_of_another_width_are_refused(linear):
    with pytest.raises(ValueError, match=r"inverse_transform wants 2 latents .* got 5"):
        linear.inverse_transform(ROWS)
