import re

import numpy as np
import pytest
from scipy import stats

from experiments.disentanglement import results as written
from experiments.disentanglement.scores import Scored
from experiments.disentanglement.sweep import Group, Run

PLAIN = Group("factor-vae", None, tuple(Run(s, {"gamma": 40.0}) for s in range(3)))
OURS = Group(
    "ad-factor-vae",
    "relu4",
    tuple(Run(s, {"gamma": 40.0, "attention": 20.0}) for s in range(3)),
)


def scored(group, factor_vae):
    """Without the attention loss a quarter of the maps is empty, with it three."""
    arrays = np.zeros(2), np.zeros((5, 2), int), np.zeros((2, 5)), np.zeros((4, 2))
    share = 0.25 if group.tap is None else 0.75
    empty = {f"empty_maps_relu{i}": share for i in range(20)}
    return [
        Scored(group, number, {"factor_vae": score, **empty}, *arrays)
        for number, score in enumerate(factor_vae)
    ]


def test_a_row_is_mean_deviation_and_interval_over_the_seeds():
    (row,) = written.summarise(scored(PLAIN, [0.5, 0.6, 0.7]))
    assert row["seeds"] == 3
    assert row["setting"] == "gamma 40"
    assert row["factor_vae"] == pytest.approx(0.6)
    assert row["factor_vae_std"] == pytest.approx(0.1)
    low, high = stats.t.interval(0.95, 2, loc=0.6, scale=0.1 / np.sqrt(3))
    assert row["factor_vae_interval"] == pytest.approx((high - low) / 2)


def test_of_one_seed_there_is_no_interval():
    (row,) = written.summarise(scored(PLAIN, [0.5]))
    assert "factor_vae_std" not in row
    assert "factor_vae_interval" not in row


def test_agreement_of_seeds_has_no_interval(capsys, tmp_path):
    """Seeds share the pairs that they are scored by: they are not independent."""
    results = scored(PLAIN, [0.5, 0.6, 0.7])
    for each, agreement in zip(results, [0.1, 0.2, 0.6], strict=True):
        each.scores["udr_spearman"] = agreement
    rows = written.write_results(results, about={}, folder=tmp_path)
    assert rows[0]["udr_spearman"] == pytest.approx(0.3)
    assert [name for name in rows[0] if "udr" in name] == ["udr_spearman"]
    assert "udr_spearman_" not in (tmp_path / "results.csv").read_text()
    written.print_results(results, rows, made_of="of nothing")
    printed = capsys.readouterr().out
    assert "0.600 ± 0.248" in printed
    assert re.search(r"0\.300 +\|$", printed, re.MULTILINE)
    assert "not independent: it has no interval" in printed


def test_settings_are_told_apart_by_objective_tap_and_values():
    rows = written.summarise(scored(PLAIN, [0.5] * 3) + scored(OURS, [0.5] * 3))
    assert [row["objective"] for row in rows] == ["factor-vae", "ad-factor-vae"]
    assert rows[1]["tap"] == "relu4"
    assert rows[1]["setting"] == "gamma 40, attention 20"


@pytest.mark.parametrize(
    ("ours", "says"),
    [
        ([0.60, 0.71, 0.80], r"\+0\.103 .*3 seeds\): helps\."),
        ([0.40, 0.51, 0.60], r"-0\.097 .*: harms\."),
        ([0.60, 0.40, 0.73], r": within the noise of seeds\."),
    ],
)
def test_the_attention_loss_is_judged_by_pairs_of_the_same_seed(ours, says):
    """Seeds differ by far more than the gain: unpaired, nothing would show."""
    results = scored(PLAIN, [0.5, 0.6, 0.7]) + scored(OURS, ours)
    (line,) = written.verdict(results)
    assert line.startswith("ad-factor-vae relu4, gamma 40, attention 20: FactorVAE")
    assert re.search(says, line)
    assert line.endswith("Empty maps of the strongest latents: 75%, without it 25%.")


def test_one_seed_is_no_verdict():
    results = scored(PLAIN, [0.5]) + scored(OURS, [0.9])
    assert "one seed says nothing of chance" in written.verdict(results)[0]


def test_without_its_plain_twin_there_is_no_verdict():
    assert written.verdict(scored(OURS, [0.5, 0.6, 0.7])) == []


def test_a_score_that_one_seed_does_not_have_is_left_out():
    results = scored(PLAIN, [0.5, 0.6, 0.7])
    results[0].scores["sap"] = 0.1
    (row,) = written.summarise(results)
    assert "sap" not in row
    assert row["factor_vae"] == pytest.approx(0.6)


def test_of_many_comparisons_the_intervals_hold_together():
    """A gain that would do by itself is not enough as one of twenty."""
    groups = [Group("ad-factor-vae", f"relu{i}", OURS.runs) for i in range(20)]
    plain = scored(PLAIN, [0.5, 0.6, 0.7])
    gains = [[0.56, 0.70, 0.76], *19 * [[0.5, 0.6, 0.7]]]
    others = [scored(group, gain) for group, gain in zip(groups, gains, strict=True)]
    (alone,) = written.verdict(plain + others[0])
    assert "at 95.0%" in alone
    assert ": helps. " in alone
    lines = written.verdict([*plain, *(one for each in others for one in each)])
    assert "at 99.8%" in lines[0]
    assert ": within the noise of seeds. " in lines[0]
