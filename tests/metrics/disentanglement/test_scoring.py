import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.metrics import disentanglement as d

GRID = d.FullGrid((3, 4, 5))
SMALL = d.Protocol(votes=500, evaluation_votes=300, group=16, train=40, test=20)


@pytest.fixture(scope="module")
def codes():
    classes = np.asarray(GRID.classes(jnp.arange(60)), np.float32)
    noise = np.random.default_rng(0).normal(size=(60, 4))
    return np.concatenate([classes, np.zeros((60, 1))], 1) + 0.1 * noise


@pytest.fixture(scope="module")
def found(codes):
    logvar = np.full((60, 4), -4.0)
    return d.suite(
        codes, GRID, key=jax.random.key(0), logvar=logvar, protocol=SMALL, trees=True
    )


def test_a_good_code_has_good_scores(found):
    scores = found.scores
    assert all(isinstance(score, float) for score in scores.values())
    assert scores["factor_vae"] == 1
    for name in ("beta_vae", "irs", "explicitness", "mig_density"):
        assert scores[name] > 0.6, name
    for variant in ("trees", "logistic"):
        assert scores[f"dci_{variant}_disentanglement"] > 0.6
    assert 0 <= scores["gaussian_total_correlation"] < 1


def test_the_matrices_are_those_of_the_pictures(found):
    assert found.votes.shape == (3, 4)
    assert found.mutual_information.shape == found.importance.shape == (4, 3)
    for matrix in (found.votes.T, found.mutual_information, found.importance):
        np.testing.assert_array_equal(np.asarray(matrix)[:3].argmax(1), [0, 1, 2])


def test_a_latent_that_is_there_twice_leaves_only_its_correlation_infinite(codes):
    twice = codes[:, [0, 1, 2, 0]]
    found = d.suite(twice, GRID, key=jax.random.key(0), protocol=SMALL)
    huge = found.scores.pop("gaussian_total_correlation")
    assert huge > 5
    assert all(map(math.isfinite, found.scores.values()))


def test_each_score_is_that_of_its_function(codes, found):
    key = jax.random.key(0)
    votes_key, pairs_key, split_key = jax.random.split(key, 3)
    split = d.random_split(60, train=40, test=20, key=split_key)
    sample, factors = codes[np.asarray(split.train)], d.take(GRID, split.train)
    expected = {
        "factor_vae": d.factor_vae_score(codes, GRID, key=votes_key, protocol=SMALL),
        "mig_binned": d.mig_binned(sample, factors),
        "mig_density": d.mig_density(codes, np.full((60, 4), -4.0), GRID),
        "sap": d.sap(codes, GRID, split),
        "irs": d.irs(sample, factors),
        "dci_trees_disentanglement": d.dci_trees(codes, GRID, split),
        "dci_logistic_disentanglement": d.dci_logistic(codes, GRID, split),
    }
    for name, result in expected.items():
        assert found.scores[name] == pytest.approx(float(result[0]), abs=1e-6), name
    plain = {
        "beta_vae": d.beta_vae_score(codes, GRID, key=pairs_key, protocol=SMALL),
        "explicitness": d.explicitness(codes, GRID, split),
        "modularity": d.modularity(sample, factors),
        "gaussian_total_correlation": d.gaussian_total_correlation(sample),
        "gaussian_wasserstein": d.gaussian_wasserstein(sample),
        "mean_code_information": d.mean_code_information(sample),
    }
    for name, score in plain.items():
        assert found.scores[name] == pytest.approx(float(score), abs=1e-6), name
    assert len(found.scores) == len(expected) + len(plain) + 4  # two more of each DCI


def test_kl_of_the_posteriors_prunes(codes):
    logvar = np.zeros((60, 4))
    idle = codes.copy()
    idle[:, 1] = 1e-4 * codes[:, 1]  # KL about 2e-8 nats
    pruned = d.suite(
        idle, GRID, key=jax.random.key(0), logvar=logvar, protocol=d.REPRO2021
    )
    assert pruned.votes.shape == (4, 4)  # the constant factor first
    assert pruned.votes[:, 1].sum() == 0
    assert pruned.votes.sum() == 800
    with pytest.raises(ValueError, match="factor_vae_score: this protocol"):
        d.suite(codes, GRID, key=jax.random.key(0), protocol=d.REPRO2021)


FEW = d.FullGrid((5, 6))
KEY = jax.random.key(2)
SPLIT = d.random_split(30, train=20, test=10, key=KEY)
SCORES = {
    "factor_vae": lambda z: d.factor_vae_score(z, FEW, key=KEY, protocol=SMALL).score,
    "irs": lambda z: d.irs(z, FEW).score,
    "total_correlation": d.gaussian_total_correlation,
}
SLOW_SCORES = {
    "beta_vae": lambda z: d.beta_vae_score(z, FEW, key=KEY, protocol=SMALL),
    "sap": lambda z: d.sap(z, FEW, SPLIT).score,
    "explicitness": lambda z: d.explicitness(z, FEW, SPLIT),
    "dci_logistic": lambda z: d.dci_logistic(z, FEW, SPLIT).completeness,
    "mig_density": lambda z: d.mig_density(z, jnp.zeros_like(z), FEW).score,
}


@pytest.mark.parametrize(
    "score",
    [pytest.param(score, id=name) for name, score in SCORES.items()]
    + [
        pytest.param(score, id=name, marks=pytest.mark.slow)
        for name, score in SLOW_SCORES.items()
    ],
)
def test_runs_at_once_score_as_one_at_a_time(score):
    classes = FEW.classes(jnp.arange(30)).astype(jnp.float32)
    noise = jax.random.normal(jax.random.key(0), (30, 2))
    runs = jnp.stack([classes + 0.2 * noise, classes @ jnp.ones((2, 2)) + 2 * noise])
    one_by_one = jnp.stack([score(run) for run in runs])
    assert one_by_one[0] != one_by_one[1]
    np.testing.assert_allclose(jax.vmap(score)(runs), one_by_one, atol=1e-4)
