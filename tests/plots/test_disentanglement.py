import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from vae_jax import plots
from vae_jax.plots import disentanglement, drawing

STEPS = np.arange(4)


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def has_colour(drawn, colour):
    wanted = np.array(matplotlib.colors.to_rgb(colour)) * 255
    return (np.abs(drawn - wanted).sum(-1) < 6).any()


def settings(count, *, objectives=1, seeds=3, spread=0.01):
    noise = np.random.default_rng(0).normal(size=(count, 2, seeds)) * spread
    return [
        plots.Setting(
            f"objective {i % objectives}", f"setting {i}", 30 + noise[i, 0], noise[i, 1]
        )
        for i in range(count)
    ]


def test_a_scatter_has_a_colour_for_each_objective(tmp_path):
    path = tmp_path / "scatter.png"
    for objectives in (1, 3):
        shown = settings(3, objectives=objectives)
        plots.save_scatter(path, shown, xlabel="x", ylabel="y", title="t")
        found = [has_colour(pixels(path), colour) for colour in drawing.LINES[:3]]
        assert found == [True, objectives > 1, objectives > 1]


def test_labels_of_a_scatter_do_not_overlap_even_where_points_do():
    figure = Figure(figsize=(8, 5), layout="constrained")
    axis: Axes = figure.subplots()
    shown = settings(5, seeds=1)
    for setting in shown:
        axis.plot(setting.x, setting.y, "o")
    styles = drawing.style_each([setting.objective for setting in shown])
    disentanglement._label_apart(figure, axis, shown, styles)
    boxes = [text.get_window_extent() for text in axis.texts]
    assert [text.get_text() for text in axis.texts] == [s.label for s in shown]
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i]) == 0
        assert disentanglement._is_inside(axis, box)


def test_a_scatter_of_single_seeds_is_drawn(tmp_path):
    path = tmp_path / "scatter.png"
    plots.save_scatter(path, settings(2, seeds=1), xlabel="x", ylabel="y", title="t")
    assert has_colour(pixels(path), drawing.LINES[0])


def test_more_objectives_than_colours_differ_in_marker_and_line(tmp_path):
    count = 3 * len(drawing.LINES)
    many = settings(count, objectives=count)
    styles = drawing.style_each([setting.objective for setting in many])
    assert len({(style.colour, style.marker) for style in styles.values()}) == count
    assert len({(style.colour, style.line) for style in styles.values()}) == count
    plots.save_scatter(tmp_path / "s.png", many, xlabel="x", ylabel="y", title="t")
    values = {setting.objective: np.zeros((1, 4)) for setting in many}
    plots.save_metric_curves(tmp_path / "c.png", STEPS, {"score": values}, title="t")
    assert pixels(tmp_path / "s.png").size
    assert pixels(tmp_path / "c.png").size


def test_metric_curves_keep_colours_over_panels_and_leave_out_what_is_missing(
    tmp_path,
):
    path = tmp_path / "curves.png"
    values = np.arange(8.0).reshape(2, 4)
    values[0, 2] = np.nan
    metrics = {"a": {"one": values}, "b": {"one": values, "two": -values}, "c": {}}
    plots.save_metric_curves(path, STEPS, metrics, title="t")
    drawn = pixels(path)
    assert all(has_colour(drawn, colour) for colour in drawing.LINES[:2])
    assert not has_colour(drawn, drawing.LINES[2])


def test_attention_pairs_are_in_the_units_of_their_own_maximum(tmp_path):
    images = np.full((2, 8, 8, 1), 0.5, np.float32)
    maps = np.zeros((2, 2, 8, 8))
    maps[:, 0, :4] = 1.0
    maps[:, 1, 4:] = 1.0
    latents = {"model": np.array([[0, 3], [1, 2]])}
    drawn = []
    for scale in (1.0, 1e-3):
        path = tmp_path / "pair.png"
        plots.save_attention_pair(
            path, images, {"model": scale * maps}, latents, title="t"
        )
        drawn.append(pixels(path))
    np.testing.assert_array_equal(*drawn)


def test_a_map_of_zeros_leaves_its_image(tmp_path):
    images = np.full((1, 8, 8, 1), 0.25, np.float32)
    path = tmp_path / "pair.png"
    latents = {"model": np.array([[0, 1]])}
    plots.save_attention_pair(
        path, images, {"model": np.zeros((1, 2, 8, 8))}, latents, title="t"
    )
    gray = (np.abs(pixels(path) - 64) < 3).all(-1)
    assert gray.mean() > 0.4
