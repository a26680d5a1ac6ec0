import numpy as np
import pytest

from vae_jax.data.dsprites import outlines

POINTS = np.arange(-outlines.RADIUS, outlines.RADIUS + 2)


def lattice(stretches):
    """What stretches describe, point by point."""
    a, b, c, d = (stretches[:, [k]] <= POINTS for k in range(4))
    return (a & ~b) | (c & ~d)


@pytest.fixture(scope="module")
def sprites():
    return outlines.stretches().reshape(3, 6, 40, -1, 4)


@pytest.mark.parametrize("shape", range(3))
@pytest.mark.parametrize(("scale", "orientation"), [(0, 0), (5, 0), (3, 11), (5, 27)])
def test_a_point_is_inside_where_the_formula_says(
    sprites, is_inside, shape, scale, orientation
):
    offsets = (POINTS - 0.5) / 31
    theta = 2 * np.pi * orientation / 39
    formula = is_inside(shape, offsets, offsets[:, None], 0.5 + 0.1 * scale, theta)
    np.testing.assert_array_equal(lattice(sprites[shape, scale, orientation]), formula)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (0, (2 * 9.598) ** 2),
        (1, np.pi * 12.765 * 7.215),
        (2, 180 * np.pi * 0.6 * 0.662),
    ],
)
def test_areas_are_those_of_the_outlines(sprites, shape, area):
    """Of the heart's curve, Green's theorem gives 180 pi."""
    for scale, share in ((5, 1), (0, 1 / 4)):
        found = lattice(sprites[shape, scale, 7]).sum() / 31**2
        assert found == pytest.approx(share * area, rel=2e-3)


@pytest.mark.parametrize("orientation", [0, 3, 9, 17, 21, 38])
def test_orientations_turn_counter_clockwise(sprites, orientation):
    """The long axis of the ellipse, with y up."""
    rows, points = np.nonzero(lattice(sprites[1, 5, orientation]))
    _, axes = np.linalg.eigh(np.cov(points, -rows))
    angle = np.degrees(np.arctan2(*axes[::-1, 1]))
    difference = (angle - 360 / 39 * orientation + 90) % 180 - 90
    assert difference == pytest.approx(0, abs=0.2)


def test_turning_the_other_way_mirrors(sprites):
    """The outlines are symmetric; the last orientation is the first."""
    for shape, orientation in ((0, 5), (1, 12), (2, 0), (2, 18)):
        left, right = (
            lattice(sprites[shape, 4, k]) for k in (orientation, 39 - orientation)
        )
        np.testing.assert_array_equal(left[:, ::-1], right)
    np.testing.assert_array_equal(sprites[:, :, 0], sprites[:, :, 39])


def test_only_a_heart_has_rows_of_two_stretches(sprites):
    """Upright, the lobes beside the notch."""
    lengths = sprites[..., 3] - sprites[..., 2]
    assert not lengths[:2].any()
    assert (lengths[2, :, 0].max(axis=1) > 0).all()
    first, gap, second = np.diff(sprites[2], axis=-1)[lengths[2] > 0].T
    assert min(first.min(), second.min()) > 0
    assert gap.min() >= 0  # the notch can end between two points


def test_the_border_is_outside(sprites):
    assert not (sprites[..., [0, -1], 1::2] > sprites[..., [0, -1], ::2]).any()
    assert sprites.min() > POINTS[0]
    assert sprites.max() <= POINTS[-1]
