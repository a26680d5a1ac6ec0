"""Facts about the linear VAE, whose optimum is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, ortho_group
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from vae_jax import losses
from vae_jax.distributions import LOG_TWO_PI
from vae_jax.latent import linear

FEATURES, LATENTS = 6, 2
EIGENVALUES = np.array([5.0, 2.0, 0.5, 0.3, 0.2, 0.2])


def rows_with(eigenvalues, *, count=50, seed=0):
    """Rows whose covariance, divisor n, has exactly these eigenvalues."""
    random = np.random.default_rng(seed)
    white = random.normal(size=(count, len(eigenvalues)))
    white -= white.mean(0)
    white = np.linalg.svd(white, full_matrices=False)[0] * np.sqrt(count)
    axes = ortho_group.rvs(len(eigenvalues), random_state=seed)
    return white * np.sqrt(eigenvalues) @ axes + random.normal(size=len(eigenvalues))


ROWS = rows_with(EIGENVALUES)
BEST = linear.probabilistic_pca(ROWS, latents=LATENTS)


def elbo_of(model, encoder, rows=ROWS):
    mean, logvar = encoder.encode(rows)
    return linear.elbo(model, rows, mean=mean, logvar=logvar)


def gap(model):
    return linear.log_likelihood(model, ROWS) - elbo_of(
        model, linear.best_encoder(model)
    )


def test_the_variance_is_the_mean_of_the_eigenvalues_left_over():
    assert BEST.variance == pytest.approx(0.3, rel=1e-12)
    lengths = np.square(BEST.weights).sum(0)
    np.testing.assert_allclose(lengths, [5.0 - 0.3, 2.0 - 0.3], rtol=1e-12)


def test_the_greatest_likelihood_known_answer():
    """Tipping and Bishop 1999, Eq. 6, with the covariance's own eigenvalues."""
    log_determinant = np.log(EIGENVALUES[:2]).sum() + 4 * np.log(0.3)
    exact = -0.5 * (FEATURES * LOG_TWO_PI + log_determinant + FEATURES)
    assert linear.log_likelihood(BEST, ROWS).mean() == pytest.approx(exact, abs=1e-12)


def test_the_log_likelihood_is_that_of_the_marginal_normal():
    covariance = BEST.weights @ BEST.weights.T + BEST.variance * np.eye(FEATURES)
    exact = multivariate_normal(BEST.mean, covariance).logpdf(ROWS)
    np.testing.assert_allclose(linear.log_likelihood(BEST, ROWS), exact, atol=1e-12)


def test_scikit_learn_has_the_same_but_for_its_divisor():
    """Its covariance is divided by n - 1: not the likeliest model, nearly."""
    pca = PCA(LATENTS).fit(ROWS)
    wider = len(ROWS) / (len(ROWS) - 1)
    scaled = BEST._replace(
        weights=BEST.weights * wider**0.5, variance=BEST.variance * wider
    )
    found = linear.log_likelihood(scaled, ROWS)
    np.testing.assert_allclose(found, pca.score_samples(ROWS), atol=1e-11)
    assert linear.log_likelihood(BEST, ROWS).mean() > pca.score(ROWS)


def test_features_that_never_change_are_explained_too():
    """Eigenvalues of 0 beside a positive variance: the digits of scikit-learn."""
    rows = load_digits().data
    model = linear.probabilistic_pca(rows, latents=30)
    found = linear.log_likelihood(model, rows)
    theirs = PCA(30, svd_solver="full").fit(rows).score(rows)
    assert found.mean() == pytest.approx(theirs, abs=1e-4)
    assert found.mean() > theirs


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_other_model_is_likelier(seed):
    random = np.random.default_rng(seed)
    moved = linear.LinearModel(
        BEST.weights + 0.1 * random.normal(size=BEST.weights.shape),
        BEST.mean + 0.1 * random.normal(size=FEATURES),
        BEST.variance * np.exp(0.3 * random.normal()),
    )
    best = linear.log_likelihood(BEST, ROWS).mean()
    assert linear.log_likelihood(moved, ROWS).mean() < best


def test_at_the_optimum_the_elbo_of_every_row_is_its_log_likelihood():
    np.testing.assert_allclose(gap(BEST), 0, atol=1e-12)
    elsewhere = rows_with(EIGENVALUES, seed=3)
    encoder = linear.best_encoder(BEST)
    np.testing.assert_allclose(
        elbo_of(BEST, encoder, elsewhere),
        linear.log_likelihood(BEST, elsewhere),
        atol=1e-10,
    )


def test_a_rotation_of_the_latents_is_as_likely_and_has_a_gap():
    """Of half the total correlation's determinant: Hadamard's inequality."""
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = BEST._replace(weights=BEST.weights @ rotation)
    same = linear.log_likelihood(turned, ROWS)
    np.testing.assert_allclose(same, linear.log_likelihood(BEST, ROWS), atol=1e-12)
    precision = turned.weights.T @ turned.weights + 0.3 * np.eye(LATENTS)
    shortfall = np.log(precision.diagonal()).sum() - np.linalg.slogdet(precision)[1]
    np.testing.assert_allclose(gap(turned), 0.5 * shortfall, atol=1e-12)
    assert shortfall > 0.1


def test_a_quarter_turn_only_swaps_the_latents():
    swapped = BEST._replace(weights=BEST.weights[:, ::-1] * [1.0, -1.0])
    np.testing.assert_allclose(gap(swapped), 0, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_other_encoder_has_a_greater_elbo(seed):
    random = np.random.default_rng(seed)
    model = BEST._replace(weights=random.normal(size=(FEATURES, LATENTS)))
    best = linear.best_encoder(model)
    moved = linear.LinearEncoder(
        *(x + 0.05 * random.normal(size=x.shape) for x in best)
    )
    assert elbo_of(model, moved).mean() < elbo_of(model, best).mean()


@pytest.mark.parametrize(
    ("variance", "alive"), [(0.1, 3), (1.0, 2), (3.0, 1), (6.0, 0)]
)
def test_a_latent_collapses_exactly_where_the_variance_exceeds_its_eigenvalue(
    variance, alive
):
    model = linear.probabilistic_pca(ROWS, latents=3, variance=variance)
    used = np.abs(model.weights).max(0) > 0
    np.testing.assert_array_equal(used, np.arange(3) < alive)
    encoder = linear.best_encoder(model)
    np.testing.assert_array_equal(encoder.kernel[:, alive:], 0)
    np.testing.assert_allclose(encoder.logvar[alive:], 0, atol=1e-15)
    # Nothing is lost: a collapsed optimum is one of the ELBO itself.
    np.testing.assert_allclose(gap(model), 0, atol=1e-12)


def test_the_likeliest_variance_collapses_nothing():
    used = [
        np.abs(linear.probabilistic_pca(ROWS, latents=k).weights).max(0) > 0
        for k in range(1, FEATURES)
    ]
    assert np.concatenate(used[:-1]).all()
    # Of the last two eigenvalues, which are equal, the kept one is as the one left.
    assert used[-1].sum() >= FEATURES - 2


def test_the_elbo_is_that_of_the_losses():
    """Over the points m +- sqrt(k) s, a mean of squares is that of the posterior."""
    random = np.random.default_rng(1)
    mean, logvar = random.normal(size=(2, len(ROWS), LATENTS))
    points = np.sqrt(LATENTS) * np.concatenate([np.eye(LATENTS), -np.eye(LATENTS)])
    with jax.enable_x64(True):

        def log_likelihood(point):
            latents = mean + np.exp(logvar / 2) * point
            decoded = jnp.asarray(latents @ BEST.weights.T + BEST.mean)
            return losses.gaussian_log_likelihood(
                jnp.asarray(ROWS), decoded, logvar=np.log(BEST.variance)
            )

        drawn = np.mean([log_likelihood(point) for point in points], 0)
        rate = losses.gaussian_kl(jnp.asarray(mean), jnp.asarray(logvar)).sum(-1)
        expected = drawn - np.asarray(rate)
    found = linear.elbo(BEST, ROWS, mean=mean, logvar=logvar)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_doubling_the_rows_changes_nothing():
    twice = linear.probabilistic_pca(np.concatenate([ROWS, ROWS]), latents=LATENTS)
    np.testing.assert_allclose(np.abs(twice.weights), np.abs(BEST.weights), atol=1e-12)
    assert twice.variance == pytest.approx(BEST.variance, rel=1e-12)


def test_a_network_of_single_precision_is_judged_in_double():
    single = linear.LinearModel(
        BEST.weights.astype(np.float32), BEST.mean.astype(np.float32), BEST.variance
    )
    double = single.in_double()
    for judge in (linear.log_likelihood, elbo_of_best):
        np.testing.assert_array_equal(judge(single, ROWS), judge(double, ROWS))


def elbo_of_best(model, rows):
    return elbo_of(model, linear.best_encoder(model), rows)


fit = functools.partial(linear.probabilistic_pca, ROWS)


@pytest.mark.parametrize("latents", [0, FEATURES])
def test_as_many_latents_as_features_leave_no_rest(latents):
    with pytest.raises(ValueError, match=rf"1 to features - 1 .* latents={latents}"):
        fit(latents=latents)


@pytest.mark.parametrize("variance", [0.0, -1.0, np.nan, np.inf])
def test_a_variance_must_be_positive(variance):
    with pytest.raises(ValueError, match=r"^probabilistic_pca: the variance .* pos"):
        fit(latents=1, variance=variance)


def test_rows_of_a_plane_need_a_variance():
    flat = ROWS[:, :2] @ np.ones((2, FEATURES))
    with pytest.raises(ValueError, match="leave a rest of"):
        linear.probabilistic_pca(flat, latents=2)
    assert linear.probabilistic_pca(flat, latents=2, variance=0.1).variance == 0.1
