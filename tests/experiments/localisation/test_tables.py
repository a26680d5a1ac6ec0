import pytest

from experiments.localisation import tables
from experiments.localisation.score import best
from experiments.localisation.tables import Result


def row(category, method="paper", kind="attention", **figures):
    return {"category": category, "method": method, "kind": kind, **figures}


def result(category, seed, *, is_texture=False, **figures):
    about = {"is_texture": is_texture}
    return Result(category, seed, [row(category, **figures)], [], about)


def test_figures_of_seeds_are_mean_and_deviation_with_n_minus_1():
    runs = [row("screw", aupro=value) for value in (0.1, 0.2, 0.6)]
    [found] = tables.over_seeds(runs, by=("category", "method", "kind"))
    assert found["aupro"] == pytest.approx(0.3)
    assert found["aupro_std"] == pytest.approx(0.07**0.5)
    assert found["seeds"] == 3
    assert "0.300 ± 0.265" in tables.show([found], {"aupro": "AUPRO"})


def test_one_seed_has_no_deviation():
    [found] = tables.over_seeds([row("screw", aupro=0.5)], by=("category", "method"))
    assert found.keys() == {"category", "method", "aupro"}


def test_a_figure_that_a_run_lacks_is_not_averaged():
    runs = [row("screw", aupro=0.5, best_iou=None), row("screw", aupro=0.7)]
    [found] = tables.over_seeds(runs, by=("category",))
    assert found["aupro"] == pytest.approx(0.6)
    assert found["best_iou"] is None


def test_means_weigh_categories_alike_and_tell_textures_from_objects():
    results = [
        result("wood", 0, is_texture=True, aupro=0.2),
        result("gear", 0, aupro=0.4),
        result("screw", 0, aupro=0.9),
    ]
    found = tables.summarise(results, published=lambda category: ()).rows
    means = {row["category"]: row["aupro"] for row in found[3:]}
    assert means == pytest.approx(
        {"mean of textures": 0.2, "mean of objects": 0.65, "mean": 0.5}
    )


def test_published_rows_stand_beside_ours_and_are_averaged_alike():
    def published(category):
        known = {"wood": 0.3, "screw": 0.7}
        return [row(category, "published", aupro=known[category])]

    results = [result("wood", 0, aupro=0.1), result("screw", 0, aupro=0.2)]
    found = tables.summarise(results, published=published).published
    assert [(r["category"], r["aupro"]) for r in found] == [
        ("wood", 0.3),
        ("screw", 0.7),
        ("mean", pytest.approx(0.5)),
    ]


def test_without_defects_only_what_validation_says_remains():
    rows = [
        row(
            "parts",
            tables.DEFAULT_METHOD,
            aupro=None,
            best_iou=None,
            validation_aupro=0.5,
            validation_iou=0.1,
        )
    ]
    assert tables.verdict(rows) == (
        f"parts: validation prefers {tables.DEFAULT_METHOD}."
    )
    assert best(rows, "attention") == []
