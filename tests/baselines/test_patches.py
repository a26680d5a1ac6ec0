"""Facts about cutting images up and putting maps together."""

import numpy as np
import pytest

from vae_jax.baselines.patches import resize_all, sliding, spread


def test_resizing_keeps_order_and_flat_images():
    flat = np.arange(7, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(30 * flat, (7, 40, 40, 3)).copy()
    resized = resize_all(images, 64)
    np.testing.assert_array_equal(resized, np.broadcast_to(30 * flat, (7, 64, 64, 3)))


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="resize: image 0 is 32x32 pixels, smaller"):
        resize_all(np.zeros((2, 32, 32, 1), np.uint8), 256)


def test_sliding_squares_are_cut_where_they_stand():
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    windows = sliding(images, side=8, stride=5)
    assert windows.shape == (2, 3, 3, 8, 8, 3)
    np.testing.assert_array_equal(windows[1, 2, 1], images[1, 10:18, 5:13])


@pytest.mark.parametrize(("of", "size"), [(32, 32), (32, 64), (64, 32)])
def test_a_plane_is_spread_as_a_plane(of, size):
    """Bilinear interpolation is exact for planes, and so shows where values stand."""
    side, stride = 8, 4
    centres = np.arange((of - side) // stride + 1) * stride + side / 2
    rows, columns = np.meshgrid(centres, centres, indexing="ij")
    coarse = (0.5 + 2 * rows - 3 * columns)[None].astype(np.float32)
    maps = spread(coarse, side=side, stride=stride, of=of, size=size)
    pixels = (np.arange(size) + 0.5) * of / size
    held = np.clip(pixels, centres[0], centres[-1])
    expected = 0.5 + 2 * held[:, None] - 3 * held[None]
    np.testing.assert_allclose(maps[0], expected, rtol=1e-5, atol=1e-4)
