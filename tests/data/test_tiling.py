import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vae_jax.data.tiling import Corner, Tiling


@st.composite
def tilings(draw):
    side = draw(st.integers(1, 12))
    return Tiling(
        height=draw(st.integers(1, 40)),
        width=draw(st.integers(1, 40)),
        side=side,
        overlap=draw(st.integers(0, side - 1)),
    )


def blend_of(tiling, values):
    """The blend of what the tiles of `values` [height width] hold."""
    pixels = values[..., None]
    cuts = {corner: tiling.cut(pixels, corner)[..., 0] for corner in tiling.corners}
    return tiling.blend(
        (corner, cut.astype(np.float32)) for corner, cut in cuts.items()
    )


@settings(max_examples=100, deadline=None)
@given(tilings(), st.integers(0, 9))
def test_tiles_of_an_image_blend_to_that_image(tiling, seed):
    """The weights sum to one at every pixel, and every tile lies where it was cut."""
    shape = tiling.height, tiling.width
    values = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)
    np.testing.assert_allclose(blend_of(tiling, values), values, rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(tilings())
def test_neighbours_overlap_by_what_was_asked_or_more(tiling):
    rows = sorted({corner.row for corner in tiling.corners})
    for before, after in itertools.pairwise(rows):
        assert before < after <= before + tiling.side - tiling.overlap
    assert rows[0] == 0
    assert rows[-1] == max(0, tiling.height - tiling.side)


@settings(max_examples=50, deadline=None)
@given(tilings())
def test_one_tile_fewer_along_an_axis_would_not_do(tiling):
    rows = len({corner.row for corner in tiling.corners})
    assume(rows > 1)
    reach = tiling.side + (rows - 2) * (tiling.side - tiling.overlap)
    assert reach < tiling.height


@settings(max_examples=50, deadline=None)
@given(tilings(), st.randoms(use_true_random=False))
def test_the_order_of_tiles_does_not_matter(tiling, random):
    rng = np.random.default_rng(0)
    maps = [
        (corner, rng.random((tiling.side, tiling.side), dtype=np.float32))
        for corner in tiling.corners
    ]
    shuffled = random.sample(maps, len(maps))
    np.testing.assert_allclose(tiling.blend(shuffled), tiling.blend(maps), atol=1e-6)


def test_a_tile_fades_out_linearly_over_the_overlap():
    tiling = Tiling(height=1, width=10, side=6, overlap=2)
    assert tiling.corners == [Corner(0, 0), Corner(0, 4)]
    first, second = np.ones((6, 6), np.float32), np.zeros((6, 6), np.float32)
    blended = tiling.blend(zip(tiling.corners, (first, second), strict=True))
    expected = [1, 1, 1, 1, 0.75, 0.25, 0, 0, 0, 0]
    np.testing.assert_allclose(blended[0], expected)


def test_no_overlap_gives_every_pixel_to_one_tile():
    tiling = Tiling(height=4, width=4, side=2, overlap=0)
    maps = [
        (corner, np.full((2, 2), i, np.float32))
        for i, corner in enumerate(tiling.corners)
    ]
    expected = np.kron([[0, 1], [2, 3]], np.ones((2, 2)))
    np.testing.assert_array_equal(tiling.blend(maps), expected)


def test_an_image_smaller_than_a_tile_is_reflected():
    pixels = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)[..., None]
    tiling = Tiling(height=2, width=3, side=5, overlap=1)
    (corner,) = tiling.corners
    np.testing.assert_array_equal(
        tiling.cut(pixels, corner)[..., 0],
        [
            [1, 2, 3, 3, 2],
            [4, 5, 6, 6, 5],
            [4, 5, 6, 6, 5],
            [1, 2, 3, 3, 2],
            [1, 2, 3, 3, 2],
        ],
    )
    assert tiling.blend([(corner, np.ones((5, 5), np.float32))]).shape == (2, 3)


@pytest.mark.parametrize(("side", "overlap"), [(0, 0), (4, 4), (4, -1)])
def test_an_overlap_must_leave_progress(side, overlap):
    with pytest.raises(ValueError, match=f"side {side} and overlap {overlap}"):
        Tiling(height=9, width=9, side=side, overlap=overlap)
