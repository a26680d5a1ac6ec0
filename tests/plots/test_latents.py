import numpy as np
import pytest
from PIL import Image

from vae_jax import plots
from vae_jax.plots import drawing

IMAGES = np.linspace(0, 1, 3 * 5 * 8 * 8, dtype=np.float32).reshape(3, 5, 8, 8, 1)
LABELS = ["z0", "z1", "z2"]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_tiles_keep_every_image_in_its_place_with_white_between():
    images = np.random.default_rng(0).random((2, 3, 4, 5, 3))
    whole = drawing.tile(images, gap=2)
    assert whole.shape == (2 * 4 + 2, 3 * 5 + 2 * 2, 3)
    np.testing.assert_array_equal(whole[6:10, 7:12], images[1, 1])
    np.testing.assert_array_equal(whole[4:6], 1)
    np.testing.assert_array_equal(whole[:, 12:14], 1)


def test_tiles_clip_what_is_no_intensity():
    assert drawing.tile(np.full((1, 1, 1, 1, 1), 1.5), gap=0).item() == 1


def test_traversals_are_a_row_each(tmp_path):
    heights = []
    for rows in (1, 3):
        path = tmp_path / "traversals.png"
        plots.save_traversals(path, IMAGES[:rows], labels=LABELS[:rows], title="t")
        heights.append(len(pixels(path)))
    cell = 130 * drawing.CELL
    assert heights[1] - heights[0] == pytest.approx(2 * cell, rel=0.25)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_goes_there_and_back_without_end(tmp_path, channels):
    path = tmp_path / "traversals.gif"
    # The brightness of all images grows with the step.
    levels = np.linspace(0.1, 0.9, 5, dtype=np.float32)
    images = np.broadcast_to(levels[:, None, None, None], (3, 5, 8, 8, channels))
    plots.save_traversal_gif(path, images, labels=LABELS, title="t", milliseconds=120)
    with Image.open(path) as moving:
        assert moving.n_frames == 8
        assert moving.info["loop"] == 0
        brightness = []
        for frame in range(8):
            moving.seek(frame)
            assert moving.info["duration"] == 120
            brightness.append(np.asarray(moving.convert("L")).mean())
    assert np.argsort(brightness[:5]).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(brightness[5:], brightness[3:0:-1], atol=0.5)


def test_interpolations_have_a_block_for_each_pair(tmp_path):
    curves = {name: IMAGES for name in ("linear", "geodesic")}
    lengths = {name: np.ones(3) for name in curves}
    heights = []
    for pairs in (1, 3):
        path = tmp_path / "interpolation.png"
        plots.save_interpolation(
            path,
            {name: images[:pairs] for name, images in curves.items()},
            {name: each[:pairs] for name, each in lengths.items()},
            title="t",
        )
        heights.append(len(pixels(path)))
    cell = 130 * drawing.CELL
    assert heights[1] - heights[0] == pytest.approx(4 * cell, rel=0.3)


def test_a_manifold_has_no_gaps(tmp_path):
    path = tmp_path / "manifold.png"
    grid = np.stack(np.meshgrid([-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]), -1)
    dark = np.zeros((3, 3, 8, 8, 1), np.float32)
    plots.save_manifold(path, dark, grid, title="t")
    black = (pixels(path) == 0).all(-1)
    rows, columns = np.nonzero(black)
    inside = black[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert inside.mean() > 0.99


def test_the_plane_is_dark_where_images_change_fast(tmp_path):
    path = tmp_path / "plane.png"
    places = np.linspace(-2, 2, 20)
    volume = np.exp(np.broadcast_to(places, (20, 20)))  # grows to the right
    plots.save_metric_plane(
        path,
        volume,
        2.0,
        codes=np.zeros((1, 2)),
        labels=np.array([7]),
        curves={"linear": np.array([[[-1.5, 0.0], [1.5, 0.0]]])},
        title="t",
    )
    drawn = pixels(path)
    height, width, _ = drawn.shape
    left, right = (
        drawn[height // 4 : height // 3, int(width * share)].mean()
        for share in (0.2, 0.65)
    )
    assert left > right + 50
    line = np.array([0x00, 0x72, 0xB2])
    assert (np.abs(drawn - line).sum(-1) < 60).sum() > 100


@pytest.mark.parametrize("kinds", [3, 12])
def test_codes_are_drawn_in_a_colour_for_each_label(tmp_path, kinds):
    labels = np.arange(4 * kinds) % kinds
    angle = 2 * np.pi * labels / kinds
    codes = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    plots.save_codes(tmp_path / "codes.png", codes, labels, title="t")
    found = pixels(tmp_path / "codes.png")
    assert (np.ptp(found, axis=-1) > 40).any()
