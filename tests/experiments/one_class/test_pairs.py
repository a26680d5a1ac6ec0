import numpy as np
import pytest

from experiments.localisation.tables import Tables
from experiments.one_class import pairs
from experiments.one_class.scores import KINDS


def rows_of(aurocs: dict[tuple[int, int, int], float]) -> list[dict]:
    """From (seed, normal, abnormal) to the AUROC of every score."""
    return [
        {"seed": seed, "normal": normal, "abnormal": abnormal}
        | dict.fromkeys(KINDS, value)
        for (seed, normal, abnormal), value in aurocs.items()
    ]


def test_pairs_are_scored_apart():
    labels = np.array([3, 3, 1, 1, 8, 8])
    scores = {"a": np.array([2.0, 4.0, 1.0, 0.0, 3.0, 5.0], np.float32)}
    assert pairs.pair_rows(scores, labels, normal=3, seed=7) == [
        {"seed": 7, "normal": 3, "abnormal": 1, "a": 0.0},
        {"seed": 7, "normal": 3, "abnormal": 8, "a": 0.75},
    ]


def test_a_score_and_its_negative_add_up_to_one():
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=60).astype(np.float32), np.arange(60) % 3
    found = pairs.pair_rows({"a": values, "b": -values}, labels, normal=0, seed=0)
    for row in found:
        assert row["a"] + row["b"] == pytest.approx(1)


def test_matrix_and_summary_average_over_seeds_and_pairs():
    rows = rows_of(
        {(0, 1, 2): 0.2, (1, 1, 2): 0.4, (0, 2, 1): 0.5, (1, 2, 1): 0.7, (0, 1, 3): 0.9}
    )
    normal, abnormal, values = pairs.matrix(rows, "ink")
    assert (normal, abnormal) == ([1, 2], [1, 2, 3])
    np.testing.assert_allclose(values, [[np.nan, 0.3, 0.9], [0.6, np.nan, np.nan]])
    found = pairs.summary(rows)
    assert [row["score"] for row in found] == list(KINDS)
    assert found[0]["mean"] == pytest.approx((0.3 + 0.9 + 0.6) / 3)
    assert [found[0][d] for d in "123"] == pytest.approx([0.6, 0.3, 0.9])
    # Seed 0: (0.2 + 0.5 + 0.9) / 3; seed 1: (0.4 + 0.7) / 2.
    means = (1.6 / 3, 0.55)
    assert found[0]["mean_std"] == pytest.approx(np.std(means, ddof=1))
    assert "mean_std" not in pairs.summary(rows[:1])[0]


def test_verdict_names_the_winner_and_what_reconstruction_misses():
    rows = rows_of({(0, 3, 1): 0.5, (0, 3, 8): 0.9})
    rows[0] |= {"reconstruction": 0.1, "ink": 0.0625, "nearest-neighbour": 0.98}
    text = pairs.verdict(pairs.summary(rows))
    assert "DOES NOT BEAT every floor: 0.700 against 0.940 (nearest-neighbour)" in text
    assert "finds a 1 worst: 0.100, where ink alone gives 0.062" in text
    rows[1]["kl"] = 1.5
    assert "kl, beats every floor" in pairs.verdict(pairs.summary(rows))


def test_spread_takes_as_many_of_each_digit_from_first_to_last():
    labels = np.repeat([0, 1, 2], [100, 50, 3])
    images = np.arange(153, dtype=np.uint8).reshape(-1, 1, 1, 1)
    few = pairs.spread(images, labels, 5)
    assert np.bincount(few.labels).tolist() == [5, 5, 3]
    assert few.images.ravel().tolist() == [
        *(0, 25, 50, 74, 99),
        *(100, 112, 124, 137, 149),
        *(150, 151, 152),
    ]
    assert pairs.spread(images, labels, None).images is images


def test_strokes_by_kind_call_the_best_of_each_digit_by_its_kind():
    def row(category, method, aupro):
        return {
            "category": category,
            "defect": "pasted",
            "method": method,
            "aupro": aupro,
            "best_iou": 0.5,
        }

    kinds = {"paper": "attention", "silhouette": "floor", "local-contrast": "floor"}
    strokes = Tables(
        rows=[{"method": name, "kind": kind} for name, kind in kinds.items()],
        runs=[],
        defects=[
            row("digit1", "paper", 0.2),
            row("digit1", "silhouette", 0.6),
            row("digit2", "paper", 0.4),
            row("digit2", "local-contrast", 0.8),
        ],
        published=[],
    )
    ours, floor = pairs.by_kind_of_stroke(strokes)
    assert (ours["method"], ours["aupro"]) == ("paper", pytest.approx(0.3))
    assert (floor["method"], floor["aupro"]) == ("best floor", pytest.approx(0.7))
