import numpy as np
import pytest
from scipy import stats

from vae_jax.metrics import confidence_half_width

VALUES = np.array([1.0, 2.0, 6.0])


def test_an_interval_of_the_mean_is_students():
    half = confidence_half_width(VALUES)
    assert half == pytest.approx(4.302653 * np.sqrt(7 / 3))
    # Zero lies outside the interval just where the t-test says so.
    shifted = VALUES - VALUES.mean() + half
    assert stats.ttest_1samp(shifted, 0).pvalue == pytest.approx(0.05)
    narrower = confidence_half_width(VALUES, coverage=0.5)
    assert narrower == pytest.approx(0.816497 * np.sqrt(7 / 3))


def test_equal_values_have_an_interval_of_no_width():
    assert confidence_half_width(np.full(3, 0.5)) == 0


def test_of_one_value_there_is_no_interval():
    with pytest.raises(ValueError, match=r"confidence_half_width: .* two .*, got 1"):
        confidence_half_width(VALUES[:1])


@pytest.mark.parametrize("coverage", [0.0, 1.0, 95.0, np.nan])
def test_coverage_is_a_share(coverage):
    with pytest.raises(ValueError, match=rf"coverage must be .*, got {coverage}\."):
        confidence_half_width(VALUES, coverage=coverage)
