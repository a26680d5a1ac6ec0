import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.metrics import disentanglement as d


def loop_over_groups(codes, classes, quantile):
    """Follows Suter et al. 2019, section 4, in float64."""
    codes = codes.astype(float)
    robustness = np.zeros((codes.shape[1], classes.shape[1]))
    largest = np.abs(codes - codes.mean(0)).max(0)
    for k, truth in enumerate(classes.T):
        deviations = []
        for value in np.unique(truth):
            members = codes[truth == value]
            distance = np.abs(members - members.mean(0))
            deviations.append(np.percentile(distance, 100 * quantile, axis=0))
        robustness[:, k] = 1 - np.mean(deviations, 0) / largest
    return np.average(robustness.max(1), weights=largest), robustness


@pytest.mark.parametrize("quantile", [0.5, 0.99, 1.0])
def test_equals_a_loop_over_groups(mixed, quantile):
    found = d.irs(mixed.codes, mixed.factors, quantile=quantile)
    score, robustness = loop_over_groups(mixed.codes, mixed.classes, quantile)
    np.testing.assert_allclose(found.robustness, robustness, atol=1e-5)
    assert found.score == pytest.approx(score, abs=1e-5)


def test_identity_zeros_and_dead_latents(ten):
    assert d.irs(ten.identity, ten.factors).score == pytest.approx(1, abs=1e-5)
    assert d.irs(ten.zeros, ten.factors).score == 0
    dead = np.concatenate([ten.identity, ten.zeros[:, :1] + 0.3], 1)
    found = d.irs(dead, ten.factors)
    assert found.score == pytest.approx(1, abs=1e-5)
    assert (found.robustness[10] == 0).all()


def test_more_values_than_bins_are_grouped():
    classes = np.arange(400)[:, None] % 40
    codes = np.stack([classes[:, 0], np.arange(400) // 40], 1).astype(np.float32)
    found = d.irs(codes, d.labelled(classes), quantile=1.0, bins=20)
    score, robustness = loop_over_groups(codes, classes // 2, 1.0)
    np.testing.assert_allclose(found.robustness, robustness, atol=1e-5)
    assert found.score == pytest.approx(score, abs=1e-5)
    assert found.robustness[0, 0] == pytest.approx(1 - 0.5 / 19.5, abs=1e-5)


def test_a_quantile_beyond_one_is_refused(ten):
    with pytest.raises(ValueError, match=r"irs: quantile must be in \[0, 1\], got 99"):
        d.irs(ten.identity, ten.factors, quantile=99.0)


def test_an_offset_of_the_codes_does_not_matter(mixed):
    codes = (np.asarray(mixed.codes) + np.float32(1e5)).astype(np.float32)
    score, robustness = loop_over_groups(codes, mixed.classes, 0.99)
    found = d.irs(codes, mixed.factors)
    np.testing.assert_allclose(found.robustness, robustness, atol=1e-5)
    assert found.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("known", [d.labelled, lambda c: d.Labelled(c, (101,))])
def test_few_values_are_not_binned_whatever_their_numbers(known):
    classes = jnp.array([0, 1, 100] * 40)[:, None]
    found = d.irs(classes.astype(jnp.float32), known(classes))
    assert found.score == pytest.approx(1, abs=1e-5)
