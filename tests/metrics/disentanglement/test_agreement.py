import inspect

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso

from vae_jax.metrics import disentanglement as d
from vae_jax.metrics.disentanglement.agreement import lasso_weights

BOTH = pytest.mark.parametrize("similarity", ["lasso", "spearman"])


@pytest.mark.parametrize(
    ("matrix", "strength"),
    [
        (np.eye(3), 1),
        ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], 2 / 3),
        (np.ones((3, 3)), 1 / 3),
        (np.zeros((3, 3)), 0),
        # Columns: 9 / 4, 0; rows: 9 / 3, 1.
        ([[3, 0], [1, 0]], (9 / 4 / 2 + (3 + 1) / 2) / 2),
    ],
)
def test_relative_strength_of_matrices(matrix, strength):
    matrix = jnp.asarray(matrix, jnp.float32)
    rows, columns = (jnp.ones(n, bool) for n in matrix.shape)
    found = d.relative_strength(matrix, rows=rows, columns=columns)
    assert found == pytest.approx(strength, abs=1e-6)


def test_relative_strength_leaves_out_rows_and_columns():
    matrix = jnp.array([[2.0, 5.0], [5.0, 5.0]])
    first = jnp.array([True, False])
    assert d.relative_strength(matrix, rows=first, columns=first) == 2


@BOTH
def test_runs_equal_up_to_order_and_sign_agree(similarity):
    codes = np.random.default_rng(0).normal(size=(1000, 10))
    order = np.random.default_rng(1).permutation(10)
    signs = np.where(np.arange(10) % 2, -1, 1)
    pair = np.stack([codes, codes[:, order] * signs])
    scores = d.udr(pair, similarity=similarity).scores
    assert ((scores > 0.8) & (scores < 1 + 1e-5)).all()
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(10, 10)))[0]
    mixed = np.stack([codes, codes @ rotation])
    assert (d.udr(mixed, similarity=similarity).scores < 0.5).all()


@BOTH
def test_one_live_latent_of_ten_counts_alone_if_the_kl_is_known(similarity):
    rng = np.random.default_rng(0)
    codes = np.zeros((2, 1000, 10))
    codes[0, :, 3] = rng.normal(size=1000)
    codes[1, :, 7] = -codes[0, :, 3]
    kl = np.where(np.abs(codes).max(1) > 0, 2.0, 0.01).astype(np.float32)
    blind = d.udr(codes, similarity=similarity).scores
    known = d.udr(codes, similarity=similarity, kl=kl).scores
    assert (blind < 0.2).all()
    assert ((known > 0.8) & (known < 1 + 1e-5)).all()


def pairwise_loop(codes, compare):
    runs = len(codes)
    found = np.zeros((runs, runs))
    for i in range(runs):
        for j in range(runs):
            matrix = np.abs(compare(codes[i], codes[j]))
            found[i, j] = (
                (matrix.max(0) ** 2 / matrix.sum(0)).mean()
                + (matrix.max(1) ** 2 / matrix.sum(1)).mean()
            ) / 2
    return found


def by_lasso(first, second):
    first, second = ((z - z.mean(0)) / z.std(0) for z in (first, second))
    return Lasso(alpha=0.1, tol=1e-9).fit(first, second).coef_.T


def by_rank(first, second):
    return np.array([[spearmanr(x, y)[0] for y in second.T] for x in first.T])


@pytest.mark.parametrize(
    ("similarity", "compare"), [("lasso", by_lasso), ("spearman", by_rank)]
)
def test_equals_a_loop_over_pairs(similarity, compare):
    rng = np.random.default_rng(0)
    source = rng.normal(size=(200, 3))
    codes = [source @ (np.eye(3) + 0.5 * rng.random((3, 3))) for _ in range(4)]
    codes = np.round(np.stack(codes), 1)  # with ties
    found = d.udr(codes, similarity=similarity)
    expected = pairwise_loop(codes, compare)
    np.testing.assert_allclose(found.pairwise, expected, atol=1e-4)
    for run in range(4):
        others = np.delete(np.asarray(found.pairwise)[:, run], run)
        assert found.scores[run] == pytest.approx(np.median(others))
    # The median must tell columns from rows.
    assert np.abs(expected - expected.T).max() > 1e-3 or similarity == "spearman"


def test_lasso_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 4)) @ rng.normal(size=(4, 4))
    targets = features @ rng.normal(size=(4, 2)) + rng.normal(size=(100, 2))
    features, targets = (z - z.mean(0) for z in (features, targets))
    twin = Lasso(alpha=0.3, tol=1e-10, max_iter=100_000).fit(features, targets)
    found = lasso_weights(
        jnp.asarray(features, jnp.float32),
        jnp.asarray(targets, jnp.float32),
        penalty=0.3,
    )
    np.testing.assert_allclose(found, twin.coef_.T, atol=2e-4)


def test_one_run_and_runs_that_diverged_are_refused():
    with pytest.raises(ValueError, match="udr: runs are compared in pairs, got 1"):
        d.udr(np.zeros((1, 5, 2)), similarity="lasso")
    codes = np.zeros((3, 5, 2))
    codes[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="udr: codes must be finite, run 1 is not"):
        d.udr(codes, similarity="lasso")


@pytest.mark.parametrize("shape", [(5, 2), (2, 5), (2, 0, 2), (2, 5, 0)])
def test_codes_of_another_rank_or_none_are_refused(shape):
    # Unwrapped, because the shape checks of the test run would speak first.
    with pytest.raises(ValueError, match=r"udr: codes must be \[run example latent\]"):
        inspect.unwrap(d.udr)(np.zeros(shape), similarity="lasso")


@pytest.mark.parametrize(
    ("kl", "message"),
    [
        (np.ones((2, 1)), r"udr: kl .* shape \(2, 3\), got \(2, 1\)"),
        (np.full((2, 3), np.nan), "udr: kl must be finite, latent 0 is not"),
    ],
)
def test_kl_is_of_each_run_and_latent(kl, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(d.udr)(np.zeros((2, 5, 3)), similarity="lasso", kl=kl)
