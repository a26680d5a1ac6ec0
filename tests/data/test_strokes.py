import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.data import drawing
from vae_jax.data.strokes import LEAST_CHANGE, add_strokes


def handwriting(count: int, *, seed: int = 0, shape: tuple[int, int] = (28, 28)):
    """Bright lines on black."""
    rng = np.random.default_rng(seed)
    drawn = [
        drawing.stroke(
            shape,
            drawing.wavy_line(rng, centre=(0.5, 0.5), length=0.7, bend=2.0),
            width=0.1,
        )
        for _ in range(count)
    ]
    return np.rint(255 * np.stack(drawn)[..., None]).astype(np.uint8)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999))
def test_a_mask_is_exactly_what_changed_and_never_empty(seed):
    images = handwriting(6, seed=seed)
    altered, masks, kinds = add_strokes(images, seed=seed)
    change = altered.astype(int) - images.astype(int)
    np.testing.assert_array_equal(masks, np.abs(change[..., 0]) >= LEAST_CHANGE)
    np.testing.assert_array_equal(altered[~masks], images[~masks])
    assert masks.any(axis=(1, 2)).all()
    assert masks.mean(axis=(1, 2)).max() < 0.15
    assert kinds == ("pasted", "erased") * 3
    assert (change[0::2] >= 0).all()  # ink is added
    assert (change[1::2] <= 0).all()  # ink is taken away


def test_a_stroke_is_pasted_where_most_was_blank_and_erased_where_ink_was():
    images = handwriting(100)
    altered, masks, _ = add_strokes(images, seed=0)
    before = images[..., 0]
    assert np.median(before[0::2][masks[0::2]]) == 0
    assert before[1::2][masks[1::2]].min() >= LEAST_CHANGE
    # In the middle of its path the ink is wholly gone.
    assert all((altered[i, ..., 0][masks[i]] < 26).any() for i in range(1, 100, 2))


@pytest.mark.parametrize("ink", [255, 180])
def test_a_pasted_stroke_is_as_bright_as_the_ink(ink):
    images = (handwriting(10) * (ink / 255)).astype(np.uint8)
    altered, masks, _ = add_strokes(images, seed=0)
    assert altered[masks].max() == images.max()


def test_image_i_depends_on_the_seed_and_i_alone():
    images = handwriting(6)
    whole = add_strokes(images, seed=4)
    part = add_strokes(images[:3], seed=4)
    other = add_strokes(images, seed=5)
    np.testing.assert_array_equal(whole.images[:3], part.images)
    assert not np.array_equal(whole.masks, other.masks)
    np.testing.assert_array_equal(images, handwriting(6))  # the input is left alone


def test_any_size():
    for shape in ((32, 64), (64, 32)):
        altered, masks, _ = add_strokes(handwriting(4, shape=shape), seed=0)
        assert altered.shape == (4, *shape, 1)
        assert masks.any(axis=(1, 2)).all()


def test_no_image_gives_no_stroke():
    altered, masks, kinds = add_strokes(np.zeros((0, 28, 28, 1), np.uint8), seed=0)
    assert (len(altered), masks.shape, kinds) == (0, (0, 28, 28), ())


@pytest.mark.parametrize(
    ("value", "index", "kind"), [(255, 0, "pasted"), (0, 0, "pasted"), (0, 1, "erased")]
)
def test_an_image_with_no_place_for_a_stroke_is_named(value, index, kind):
    images = handwriting(2)
    images[index] = value
    with pytest.raises(ValueError, match=f"image {index} has no place .* to be {kind}"):
        add_strokes(images, seed=0)


@pytest.mark.parametrize("seed", range(5))
def test_a_crowded_image_has_a_place_all_the_same(seed):
    """Ink nearly everywhere, as in a fat eight: most draws would follow it."""
    images = np.full((1, 28, 28, 1), 200, np.uint8)
    images[0, 2:12, 3:13] = 0
    _, masks, _ = add_strokes(images, seed=seed)
    assert masks[0, 2:12, 3:13].any()
