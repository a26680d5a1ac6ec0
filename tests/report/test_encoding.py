import base64
import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from PIL import Image

from vae_jax.report import encoding

LEVELS = {"low": 0.1, "high": 3.1, "threshold": 1.2345, "top": 40.0}


def unpack(text: str, shape: tuple[int, int]) -> np.ndarray:
    """What the page does, in numpy."""
    values = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return values.reshape(shape).cumsum(0, np.uint8).cumsum(1, np.uint8)


def random_maps(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).gamma(1.0, 2.0, size=shape).astype(np.float32)


def test_a_pixel_has_code_k_exactly_if_it_reaches_level_k():
    levels = encoding.threshold_levels(**LEVELS)
    values = np.concatenate([random_maps(500), levels, np.nextafter(levels, 0)])
    codes = encoding.quantise(values, levels)
    for k, level in enumerate(levels, 1):
        np.testing.assert_array_equal(codes >= k, values >= level)


@pytest.mark.parametrize("threshold", [1.2345, 0.05, 3.7, 39.0, 100.0, 0.1, 40.0])
def test_the_calibrated_threshold_is_a_level_wherever_it_lies(threshold):
    levels = encoding.threshold_levels(**LEVELS | {"threshold": threshold})
    assert np.float32(threshold) in levels
    assert len(levels) <= 255
    assert (np.diff(levels) > 0).all()
    assert np.float32(40.0) in levels
    assert np.float32(min(threshold, 0.1)) == levels[0]


def test_levels_around_the_threshold_are_half_a_percent_of_the_scale_apart():
    levels = encoding.threshold_levels(**LEVELS)
    near = levels[(levels > 0.5) & (levels < 2.5)]
    assert np.diff(near).max() < 0.0055 * (LEVELS["high"] - LEVELS["low"])


def test_an_infinite_threshold_leaves_a_scale_without_it():
    levels = encoding.threshold_levels(**LEVELS | {"threshold": np.inf})
    assert np.isfinite(levels).all()
    assert levels[-1] == 40.0


def test_maps_without_extent_still_have_a_level():
    flat = {"low": 2.0, "high": 2.0, "threshold": 2.0, "top": 2.0}
    levels = encoding.threshold_levels(**flat)
    assert levels.tolist() == [2.0]


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2)))
@settings(deadline=None, max_examples=50)
def test_packing_loses_nothing(values):
    np.testing.assert_array_equal(unpack(encoding.pack(values), values.shape), values)


def test_a_smooth_map_takes_less_than_as_png():
    grid = np.linspace(0, 3, 96)
    codes = (90 * (1 + np.sin(grid[:, None]) * np.cos(grid))).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(codes).save(png, "png", optimize=True)
    assert len(encoding.pack(codes)) * 3 / 4 < len(png.getvalue())


@pytest.mark.parametrize("shape", [(64, 64), (30, 47), (1, 9), (5, 1)])
def test_a_block_is_flagged_exactly_if_one_of_its_pixels_is(shape):
    codes = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    small = encoding.shrink_codes(codes, 16)
    assert max(small.shape) == min(16, max(shape))
    rows, columns = (
        np.arange(count + 1) * size // count
        for count, size in zip(small.shape, shape, strict=True)
    )
    for i, j in np.ndindex(small.shape):
        block = codes[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        assert small[i, j] == block.max()


def test_shrinking_and_quantising_commute():
    levels = encoding.threshold_levels(**LEVELS)
    values = random_maps(64, 64)
    blocks = values.reshape(16, 4, 16, 4).max((1, 3))
    np.testing.assert_array_equal(
        encoding.shrink_codes(encoding.quantise(values, levels), 16),
        encoding.quantise(blocks, levels),
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_close_to_what_it_was_and_no_larger_than_asked(channels):
    grid = np.linspace(0, 255, 80)
    pixels = np.stack([np.add.outer(grid, grid) / 2] * channels, -1).astype(np.uint8)
    for longest, side in ((200, 80), (40, 40)):
        packed = base64.b64decode(encoding.pack_image(pixels, longest))
        with Image.open(io.BytesIO(packed)) as image:
            drawn = np.asarray(image.convert("RGB")).astype(float)
        assert drawn.shape == (side, side, 3)
        want = pixels[:: 80 // side, :: 80 // side].astype(float)
        assert np.abs(drawn - want).mean() < 4


def test_a_rendition_holds_image_map_and_mask_at_their_sizes():
    codes = np.arange(40 * 20, dtype=np.uint32).reshape(40, 20).astype(np.uint8)
    mask = np.zeros((40, 20), bool)
    mask[39, 19] = True
    image = np.zeros((80, 40, 1), np.uint8)
    found = encoding.render(image, codes, mask, image_side=80, map_side=20)
    assert (found.rows, found.columns) == (20, 10)
    assert unpack(found.mask, (20, 10)).sum() == 1
    np.testing.assert_array_equal(
        unpack(found.map, (20, 10)), codes.reshape(20, 2, 10, 2).max((1, 3))
    )
    without = encoding.render(image, codes, None, image_side=80, map_side=20)
    assert without.mask is None
