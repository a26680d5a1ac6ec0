"""Facts about cutting images up and putting maps together."""

import numpy as np
import pytest

from vae_jax.baselines.patches import join, resize_all, split


def test_tiles_are_taken_row_by_row():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    tiles = split(image, 2)
    expected = [[[0, 1], [4, 5]], [[2, 3], [6, 7]], [[8, 9], [12, 13]]]
    np.testing.assert_array_equal(tiles[:3, ..., 0], expected)


@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_joining_undoes_splitting(tiles):
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), dtype=np.uint8)
    maps = split(images, tiles)[..., 0].astype(np.float32)
    assert maps.shape == (5 * tiles**2, 12 // tiles, 12 // tiles)
    np.testing.assert_array_equal(join(maps, tiles), images[..., 0])


def test_resizing_keeps_order_and_flat_images():
    flat = np.arange(7, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(30 * flat, (7, 40, 40, 3)).copy()
    resized = resize_all(images, 64)
    np.testing.assert_array_equal(resized, np.broadcast_to(30 * flat, (7, 64, 64, 3)))


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="resize: image 0 is 32x32 pixels, smaller"):
        resize_all(np.zeros((2, 32, 32, 1), np.uint8), 256)
