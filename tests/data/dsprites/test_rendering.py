import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.data import dsprites


def at_the_corner(shape):
    """Position (0, 0), upright, at all scales."""
    return dsprites.render(np.array([[shape, scale, 0, 0, 0] for scale in range(6)]))


@pytest.fixture(scope="module")
def some():
    return np.random.default_rng(0).integers(0, dsprites.GRID.size, 400)


@pytest.mark.parametrize(
    ("shape", "counts", "tolerance"),
    [
        (0, [100, 144, 196, 256, 324, 400], 0),
        (1, [76, 104, 144, 184, 228, 288], 0),
        (2, [58, 84, 108, 140, 182, 222], 2),
    ],
)
def test_as_many_pixels_are_on_as_in_the_published_images(shape, counts, tolerance):
    found = at_the_corner(shape).sum((1, 2))
    np.testing.assert_allclose(found, counts, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "columns", "rows"),
    [(0, (6, 25), (6, 25)), (1, (3, 28), (9, 22)), (2, (6, 25), (7, 23))],
)
def test_bounding_boxes_are_those_of_the_published_images(shape, columns, rows):
    largest = at_the_corner(shape)[5]
    for axis, (first, last) in ((0, columns), (1, rows)):
        occupied = np.flatnonzero(largest.any(axis))
        assert (occupied[0], occupied[-1]) == (first, last)


@pytest.mark.parametrize(
    ("index", "classes", "count"),
    [
        (92595, (0, 2, 10, 13, 19), 173),
        (339150, (1, 2, 11, 6, 14), 139),
        (656090, (2, 4, 0, 22, 26), 184),
    ],
)
def test_published_images_that_are_known_by_index(index, classes, count):
    found = dsprites.GRID.classes(np.array([index]))
    np.testing.assert_array_equal(found, [classes])
    assert dsprites.render(found).sum() == count


def test_the_first_orientation_is_the_last():
    index = np.arange(0, dsprites.GRID.size, 997)
    first, last = (dsprites.GRID.classes(index) for _ in range(2))
    first[:, 2], last[:, 2] = 0, 39
    np.testing.assert_array_equal(dsprites.render(first), dsprites.render(last))


def test_positions_go_right_and_down_by_32_31_pixels():
    classes = np.array([[2, 5, 8, x, y] for x, y in ((0, 0), (31, 0), (0, 31))])
    origin, right, down = dsprites.render(classes)
    np.testing.assert_array_equal(right, np.roll(origin, 32, axis=1))
    np.testing.assert_array_equal(down, np.roll(origin, 32, axis=0))
    turned = np.array([[0, 5, 8, x, 15] for x in range(32)])
    columns = (dsprites.render(turned) * (np.arange(64) + 0.5)).sum((1, 2))
    centres = columns / dsprites.render(turned).sum((1, 2))
    np.testing.assert_allclose(centres, 16 + np.arange(32) * 32 / 31, atol=0.05)


@pytest.mark.parametrize("shape", range(3))
def test_a_pixel_is_on_where_its_centre_is_inside(shape, some, is_inside):
    classes = dsprites.GRID.classes(some)
    classes = classes[classes[:, 0] == shape]
    assert len(classes) > 100
    _, scale, orientation, x, y = (
        values[column][:, None, None]
        for values, column in zip(dsprites.VALUES, classes.T, strict=True)
    )
    dx = np.arange(64)[None, None, :] + 0.5 - (16 + 32 * x)
    dy = np.arange(64)[None, :, None] + 0.5 - (16 + 32 * y)
    formula = is_inside(shape, dx, dy, scale, orientation)
    np.testing.assert_array_equal(dsprites.render(classes), formula)


def test_numpy_and_jax_draw_the_same(some):
    classes = dsprites.GRID.classes(some)
    draw = jax.jit(lambda each: dsprites.render(each, xp=jnp))
    np.testing.assert_array_equal(draw(jnp.asarray(classes)), dsprites.render(classes))


def test_packing_is_undone_and_the_same_with_jax(some):
    images = dsprites.render(dsprites.GRID.classes(some[:20]))
    packed = dsprites.pack(images)
    assert packed.shape == (20, 512)
    np.testing.assert_array_equal(dsprites.unpack(packed), images)
    on_device = dsprites.pack(jnp.asarray(images), xp=jnp)
    np.testing.assert_array_equal(on_device, packed)
    np.testing.assert_array_equal(dsprites.unpack(on_device, xp=jnp), images)


def test_the_leftmost_pixel_is_the_highest_bit():
    image = np.zeros((1, 64, 64), np.bool_)
    image[0, 1, 2] = True
    packed = dsprites.pack(image)[0]
    assert np.flatnonzero(packed).tolist() == [8]
    assert packed[8] == 0b00100000
