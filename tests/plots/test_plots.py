from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_jax import plots
from vae_jax.anomaly import ColourLimits

SIDE = 16


def example(level: float) -> plots.Example:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[4:8, 4:8] = level > 0.5
    return plots.Example(
        "title",
        np.full((SIDE, SIDE, 1), 0.5, np.float32),
        mask,
        np.full((SIDE, SIDE), level),
    )


@pytest.fixture
def folder(tmp_path):
    return Path(tmp_path)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def darkest_map_colour(drawn: np.ndarray) -> int:
    """How many pixels have the darkest colour of the scale, which is nearly black."""
    return int((drawn.sum(-1) < 20).sum())


def test_a_normal_map_stays_dark_beside_a_defective_one(folder):
    limits = ColourLimits(0.2, 1.0)
    plots.save_panel(folder / "a.png", [example(0.1)], limits=limits, title="normal")
    plots.save_panel(folder / "b.png", [example(0.9)], limits=limits, title="defect")
    normal, defect = pixels(folder / "a.png"), pixels(folder / "b.png")
    assert darkest_map_colour(normal) > darkest_map_colour(defect) + 1000


def test_a_colour_image_and_a_gray_one_are_both_drawn(folder):
    colour = example(0.9)._replace(image=np.full((SIDE, SIDE, 3), 0.5, np.float32))
    limits = ColourLimits(0.0, 1.0)
    for name, drawn in (("gray.png", example(0.9)), ("colour.png", colour)):
        plots.save_panel(folder / name, [drawn, drawn], limits=limits, title="")
    np.testing.assert_array_equal(
        pixels(folder / "gray.png"), pixels(folder / "colour.png")
    )


@pytest.mark.parametrize("latents", [1, 9, 64])
def test_latent_maps_are_drawn_for_any_number_of_latents(folder, latents):
    maps = np.random.default_rng(0).random((latents, SIDE, SIDE))
    image = np.full((SIDE, SIDE, 1), 0.5, np.float32)
    plots.save_latent_maps(folder / "l.png", image, maps, np.ones(latents), title="t")
    assert pixels(folder / "l.png").std() > 1


def test_curves_and_training_curves_are_drawn(folder):
    line = np.linspace(0, 1, 5)
    curve = plots.Curve("ours", "attention", line, line)
    plots.save_curves(folder / "c.png", roc=[curve], pro=[curve], pro_limit=0.3)
    records = [
        {"step": 1, "kind": "train", "loss": 2.0},
        {"step": 1, "kind": "evaluation", "loss": 1.5},
    ]
    plots.save_training_curves(folder / "t.png", records, figures=["loss"])
    assert pixels(folder / "c.png").std() > 1
    assert pixels(folder / "t.png").std() > 1


def comparison(level: float, mask: np.ndarray) -> plots.Comparison:
    values = np.full((SIDE, SIDE), level)
    image = np.full((SIDE, SIDE, 1), 0.5, np.float32)
    return plots.Comparison("t", image, mask, {"a": values, "b": 1 - values})


def test_a_comparison_has_a_row_for_each_method_and_for_the_truth_if_there_is_any(
    folder,
):
    limits = {"a": ColourLimits(0.0, 1.0), "b": ColourLimits(0.0, 1.0)}
    marked = np.zeros((SIDE, SIDE), bool)
    marked[2:9, 2:9] = True
    heights = []
    for name, mask in (("with", marked), ("without", ~np.ones_like(marked))):
        path = folder / f"{name}.png"
        examples = [comparison(level, mask) for level in (0.0, 1.0)]
        plots.save_comparison(
            path, examples, limits=limits, title="t", width_over_height=2.0
        )
        heights.append(pixels(path).shape[0])
    assert heights[0] > heights[1] + 100
    # Wide cells: two columns are about four high.
    height, width, _ = pixels(folder / "without.png").shape
    assert width > 1.2 * height


def test_a_panel_without_masks_has_no_row_of_truth(folder):
    limits = ColourLimits(0.0, 1.0)
    for name, drawn in (("with.png", example(0.9)), ("without.png", example(0.1))):
        plots.save_panel(folder / name, [drawn], limits=limits, title="")
    heights = [len(pixels(folder / name)) for name in ("with.png", "without.png")]
    assert heights[0] > heights[1] + 100


def test_a_matrix_is_coloured_by_value_and_blank_where_there_is_none(folder):
    drawn = []
    for value in (0.1, 0.5, 0.9, np.nan):
        path = folder / f"{value}.png"
        values = np.array([[value]])
        plots.save_matrix(path, values, rows=["r"], columns=["c"], title="t")
        drawn.append(np.median(pixels(path).reshape(-1, 3), axis=0))
    low, middle, high, blank = drawn
    assert low[0] > low[2] + 50  # red
    assert high[2] > high[0] + 50  # blue
    np.testing.assert_allclose(middle, 247, atol=1)
    np.testing.assert_array_equal(blank, 255)


def test_sanity_has_a_line_for_each_method(folder):
    falling = np.linspace(1.0, 0.0, 5)
    path = folder / "sanity.png"

    def draws_a_third_colour(*methods):
        plots.save_sanity(
            path,
            layers=["top", "bottom"],
            correlation=dict.fromkeys(methods, np.array([0.5, 0.1])),
            share=1 - falling,
            deletion=dict.fromkeys(methods, falling),
            insertion=dict.fromkeys([*methods, "random"], 1 - falling),
            title="title",
        )
        green = np.array([0x2C, 0xA0, 0x2C])  # the third of matplotlib's lines
        return (pixels(path) == green).all(-1).any()

    assert draws_a_third_colour("a", "b")
    assert not draws_a_third_colour("a")
