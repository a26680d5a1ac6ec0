import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.metrics import disentanglement as d

GRID = d.FullGrid((2, 2))
ONE_FACTOR = d.labelled(np.array([[0], [1], [1], [0]]))
SPLIT = d.Split(jnp.array([0, 3]), jnp.array([1, 2]))
KEY = jax.random.key(0)
CODES = np.array([[0.0, 1], [1, 0], [2, 1], [3, 5]])


def call(name, codes=CODES, factors=GRID, split=SPLIT, **options):
    # Unwrapped, because the shape checks of the test run would speak first.
    metric = inspect.unwrap(getattr(d, name))
    match name:
        case "factor_vae_score" | "beta_vae_score" | "suite":
            return metric(codes, factors, key=KEY, **options)
        case "mig_density":
            logvar = options.pop("logvar", np.zeros(np.shape(codes)))
            return metric(codes, logvar, factors, **options)
        case "sap" | "explicitness" | "dci_logistic" | "dci_trees":
            return metric(codes, factors, split, **options)
        case "mig_binned" | "modularity" | "sap_correlation" | "irs":
            return metric(codes, factors, **options)
        case _:
            return metric(codes, **options)


SPLITTING = ["sap", "explicitness", "dci_logistic", "dci_trees"]
LABELLED = [
    *("factor_vae_score", "beta_vae_score", "suite", "mig_density", "mig_binned"),
    *("modularity", "sap_correlation", "irs", *SPLITTING),
]
UNLABELLED = [
    *("gaussian_total_correlation", "gaussian_wasserstein", "mean_code_information"),
]


@pytest.mark.parametrize("name", LABELLED + UNLABELLED)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_codes_of_a_run_that_diverged_are_refused_by_name(name, bad):
    codes = CODES.copy()
    codes[2, 1] = bad
    with pytest.raises(ValueError, match=rf"^{name}: codes must be finite, latent 1"):
        call(name, codes)


@pytest.mark.parametrize("name", LABELLED + UNLABELLED)
@pytest.mark.parametrize("shape", [(4,), (4, 2, 1), (4, 0), (0, 2)])
def test_codes_of_another_rank_or_none_are_refused_by_name(name, shape):
    message = rf"^{name}: codes must be \[example latent\] .* got shape"
    with pytest.raises(ValueError, match=message):
        call(name, np.zeros(shape))


@pytest.mark.parametrize("name", LABELLED)
def test_codes_of_other_examples_are_refused_by_name(name):
    with pytest.raises(ValueError, match=rf"^{name}: .* got 4 codes and 6 examples"):
        call(name, factors=d.FullGrid((3, 2)))


@pytest.mark.parametrize(
    "name",
    [
        *("mig_binned", "mig_density", "sap", "sap_correlation", "suite"),
        *("mean_code_information", "dci_trees", "dci_logistic"),
    ],
)
def test_a_comparison_of_latents_needs_two(name):
    with pytest.raises(ValueError, match=f"^{name}: latents are .* needs two, got 1"):
        call(name, CODES[:, :1])


@pytest.mark.parametrize(
    "name",
    [
        *("dci_trees", "dci_logistic", "modularity", "suite"),
        *("factor_vae_score", "beta_vae_score"),
    ],
)
def test_a_comparison_of_factors_needs_two(name):
    with pytest.raises(ValueError, match=f"^{name}: factors are .* needs two, got 1"):
        call(name, factors=ONE_FACTOR)


@pytest.mark.parametrize(
    "name", ["mig_binned", "mig_density", "sap_correlation", "irs", *SPLITTING[:2]]
)
def test_one_factor_alone_has_scores_that_compare_latents(name):
    split = d.Split(jnp.array([0, 1]), jnp.array([2, 3]))
    assert np.isfinite(score_of(call(name, factors=ONE_FACTOR, split=split)))


def score_of(found):
    return found[0] if isinstance(found, tuple) else found


def test_constant_factors_are_factors_to_compare_with():
    found = call(
        "factor_vae_score", factors=ONE_FACTOR, protocol=d.REPRO2021, kl=np.ones(2)
    )
    assert found.votes.shape == (2, 2)


@pytest.mark.parametrize("name", ["gaussian_total_correlation", "gaussian_wasserstein"])
def test_a_covariance_needs_two_examples(name):
    with pytest.raises(ValueError, match=f"^{name}: a variance .* needs two, got 1"):
        call(name, CODES[:1])


@pytest.mark.parametrize(
    "name", ["mig_binned", "modularity", "irs", "mean_code_information"]
)
@pytest.mark.parametrize("bins", [0, 1])
def test_one_bin_tells_nothing_apart(name, bins):
    with pytest.raises(
        ValueError, match=f"^{name}: bins must be at least 2, got {bins}"
    ):
        call(name, bins=bins)


def test_one_interval_tells_nothing_apart():
    with pytest.raises(ValueError, match=r"^mig_density: intervals .* 2, got 1"):
        call("mig_density", intervals=1)


@pytest.mark.parametrize("name", SPLITTING)
@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([0, 4], [1, 2], r"split.train must be .* 0 to 3, got 0 to 4"),
        ([0, 3], [-1, 2], r"split.test must be .* 0 to 3, got -1 to 2"),
        ([], [1, 2], r"split.train must be .*, got none"),
        ([0, 3], [], r"split.test must be .*, got none"),
        ([0, 1], [2, 3], r"every factor must vary .* factor 0 has one value in all 2"),
    ],
)
def test_a_split_that_cannot_be_fitted_or_scored_is_refused(name, train, test, message):
    split = d.Split(jnp.array(train, int), jnp.array(test, int))
    with pytest.raises(ValueError, match=f"^{name}: {message}"):
        call(name, split=split)


@pytest.mark.parametrize("name", ["sap_correlation", "explicitness"])
def test_inside_a_trace_values_are_not_looked_at(name):
    alone = score_of(call(name))
    given = jax.jit(lambda codes: score_of(call(name, codes)))(CODES)
    within = jax.jit(lambda: score_of(call(name)))()
    np.testing.assert_allclose([given, within], [alone, alone], rtol=1e-5)


@pytest.mark.parametrize("name", ["mig_density", "suite"])
def test_log_variances_are_of_the_codes_and_finite(name):
    with pytest.raises(ValueError, match=rf"^{name}: logvar .* got shape \(4, 1\)"):
        call(name, logvar=np.zeros((4, 1)), **small(name))
    bad = np.zeros((4, 2))
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match=f"^{name}: logvar must be finite, latent 1"):
        call(name, logvar=bad, **small(name))


def small(name):
    if name == "suite":
        return {"protocol": d.Protocol(votes=10, evaluation_votes=10, train=2, test=2)}
    return {}


@pytest.mark.parametrize(
    ("kl", "message"),
    [
        ([1.0], r"kl must be the mean .* shape \(2,\), got \(1,\)"),
        ([1.0, np.nan], "kl must be finite, latent 1 is not"),
    ],
)
def test_kl_is_of_each_latent_and_finite(kl, message):
    with pytest.raises(ValueError, match=f"^factor_vae_score: {message}"):
        call("factor_vae_score", kl=np.array(kl), protocol=d.REPRO2021)


@pytest.mark.parametrize("name", ["factor_vae_score", "beta_vae_score"])
@pytest.mark.parametrize("numbers", [(1, 9), (9, 1), (1, None)])
def test_balanced_votes_are_one_for_each_factor_at_least(name, numbers):
    votes, evaluation = numbers
    protocol = d.Protocol(votes=votes, evaluation_votes=evaluation, balanced=True)
    with pytest.raises(ValueError, match=f"^{name}: balanced .* of 2 factors .* got 1"):
        call(name, protocol=protocol)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({}, r"must have two .* one of them fitted; factor 0 has \[0\]; take more"),
        ({"train": 2, "test": 2}, "must vary .* factor 0 has one value in all 2; take"),
    ],
)
def test_a_suite_whose_sample_lacks_a_rare_value_is_refused(numbers, message):
    # Example 3 is among the 33 of 50 to fit on, and not among the first two of them.
    rare = np.zeros((50, 2), int)
    rare[3], rare[9, 1] = 1, 1
    protocol = d.Protocol(**numbers)
    with pytest.raises(ValueError, match=f"^suite: every factor {message}"):
        call("suite", np.zeros((50, 2)), d.labelled(rare), protocol=protocol)
