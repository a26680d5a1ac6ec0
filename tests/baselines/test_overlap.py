"""Facts about overlapping patches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.baselines.overlap import average, cut, map_patches, patch_starts


def pictures(n=3, height=23, width=17, channels=2, seed=0):
    shape = (n, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("size", "side", "stride", "starts"),
    [
        (8, 8, 3, [0]),
        (9, 8, 3, [0, 1]),
        (12, 4, 4, [0, 4, 8]),
        (13, 4, 4, [0, 4, 8, 9]),
        (10, 4, 3, [0, 3, 6]),
    ],
)
def test_patches_begin_every_stride_and_the_last_ends_with_the_image(
    size, side, stride, starts
):
    assert patch_starts(size, side=side, stride=stride) == starts


def test_the_published_texture_has_196_patches():
    assert len(patch_starts(512, side=128, stride=30)) ** 2 == 196


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_every_pixel_is_in_a_patch(size, side, stride):
    side = min(side, size)
    starts = patch_starts(size, side=side, stride=min(stride, side))
    covered = {start + i for start in starts for i in range(side)}
    assert covered == set(range(size))
    assert starts == sorted(set(starts))


def test_patches_come_image_by_image_and_row_by_row():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    patches = cut(np.concatenate([image, image + 100]), side=2, stride=2)
    expected = [
        [[0, 1], [4, 5]],
        [[2, 3], [6, 7]],
        [[4, 5], [8, 9]],
        [[6, 7], [10, 11]],
    ]
    np.testing.assert_array_equal(patches[:4, ..., 0], expected)
    np.testing.assert_array_equal(patches[4:, ..., 0], np.array(expected) + 100)


def test_overlaps_are_averaged():
    """Three pixels a row, patches of two: the middle one is in both."""
    maps = np.array([[[1, 2], [3, 4]], [[10, 20], [30, 40]]], np.float32)
    whole = average(maps, height=2, width=3, stride=1)
    np.testing.assert_array_equal(whole, [[[1, (2 + 10) / 2, 20], [3, 17, 40]]])


@pytest.mark.parametrize("stride", [1, 3, 7, 8])
def test_averaging_undoes_cutting(stride):
    pixels = pictures()
    patches = cut(pixels, side=8, stride=stride)
    maps = average(
        patches[..., 0].astype(np.float32), height=23, width=17, stride=stride
    )
    np.testing.assert_allclose(maps, pixels[..., 0], rtol=1e-6)


def test_each_pixel_is_the_mean_over_its_patches():
    """By a loop over pixels and patches, for maps that differ where they overlap."""
    rng = np.random.default_rng(0)
    rows, columns = (patch_starts(n, side=5, stride=2) for n in (12, 9))
    maps = rng.random((2 * len(rows) * len(columns), 5, 5), np.float32)
    of_image = maps.reshape(2, len(rows), len(columns), 5, 5)
    expected = np.zeros((2, 12, 9))
    for row, column in np.ndindex(12, 9):
        values = [
            of_image[:, i, j, row - top, column - left]
            for i, top in enumerate(rows)
            for j, left in enumerate(columns)
            if 0 <= row - top < 5 and 0 <= column - left < 5
        ]
        expected[:, row, column] = np.mean(values, axis=0)
    whole = average(maps, height=12, width=9, stride=2)
    np.testing.assert_allclose(whole, expected, rtol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 40])
def test_a_map_of_each_pixel_alone_is_its_map_in_patches(n):
    pixels = pictures(n)
    sizes = []

    def brightness(patches):
        sizes.append(len(patches))
        assert patches.shape[1:] == (8, 8, 2)
        return patches.astype(np.float32).mean(-1)

    maps = map_patches(brightness, pixels, side=8, stride=5)
    np.testing.assert_allclose(maps, pixels.mean(-1), rtol=1e-6)
    assert sum(sizes) == 12 * n
    assert max(sizes, default=0) <= 256  # whatever the number of images


def test_what_cannot_be_covered_is_refused():
    with pytest.raises(ValueError, match=r"^patch_starts: patches .* 23 .* got 24; "):
        patch_starts(23, side=24, stride=1)
    for stride in (0, 9):
        with pytest.raises(ValueError, match=rf"^patch_starts: .* got {stride}; "):
            patch_starts(23, side=8, stride=stride)
