import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.data.augment import (
    AUGMENTATIONS,
    NONE,
    Augmentation,
    augment,
    augmentation_for,
    rotate,
)
from vae_jax.data.mvtec_ad import DESCRIPTIONS
from vae_jax.data.synthetic import CATEGORIES


def picture(seed: int, channels: int = 3, side: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(40, 220, size=(side, side, channels), dtype=np.uint8)


def test_every_known_category_has_an_entry_and_no_other_is_touched():
    assert set(AUGMENTATIONS) == {*DESCRIPTIONS, *CATEGORIES}
    assert augmentation_for("my_parts") == NONE


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(AUGMENTATIONS)), st.sampled_from([1, 3]), st.integers(0, 99)
)
def test_shape_dtype_and_range_are_kept(category, channels, seed):
    image = picture(seed, channels)
    result = augment(image, augmentation_for(category), rng=np.random.default_rng(seed))
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    # No corner is filled with anything that was not in the image.
    assert result.min() >= image.min()
    assert result.max() <= image.max()


def test_none_changes_nothing():
    image = picture(0)
    result = augment(image, NONE, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (Augmentation(mirror_horizontally=True), lambda a: {a[:, ::-1].tobytes()}),
        (Augmentation(mirror_vertically=True), lambda a: {a[::-1].tobytes()}),
        (
            Augmentation(quarter_turns=True),
            lambda a: {np.rot90(a, k).tobytes() for k in (1, 2, 3)},
        ),
    ],
)
def test_exactly_the_permitted_images_appear(augmentation, expected):
    image = picture(1)
    seen = {
        augment(image, augmentation, rng=np.random.default_rng(seed)).tobytes()
        for seed in range(60)
    }
    assert seen == {image.tobytes(), *expected(image)}


@pytest.mark.parametrize("border", ["edge", "reflect"])
@pytest.mark.parametrize("turns", [0, 1, 2, 3, -1])
def test_rotation_by_right_angles_is_rot90(turns, border):
    image = picture(2)
    rotated = rotate(image, 90.0 * turns, border=border)
    np.testing.assert_allclose(
        rotated.astype(int), np.rot90(image, turns).astype(int), atol=1
    )


@pytest.mark.parametrize("border", ["edge", "reflect"])
def test_rotation_moves_a_spot_to_where_trigonometry_says(border):
    image = np.zeros((65, 65, 1), np.uint8)
    image[32 - 1 : 32 + 2, 52 - 1 : 52 + 2] = 200  # 20 pixels right of the centre
    rotated = rotate(image, 30.0, border=border)[..., 0].astype(float)
    y, x = np.indices(rotated.shape)
    centre = (rotated * y).sum() / rotated.sum(), (rotated * x).sum() / rotated.sum()
    # Counter-clockwise is up, that is towards smaller y.
    expected = 32 - 20 * np.sin(np.pi / 6), 32 + 20 * np.cos(np.pi / 6)
    np.testing.assert_allclose(centre, expected, atol=0.15)


@pytest.mark.parametrize("degrees", [7.0, 45.0, -130.0])
def test_a_constant_image_stays_constant(degrees):
    image = np.full((48, 48, 3), 90, np.uint8)
    for border in ("edge", "reflect"):
        np.testing.assert_array_equal(rotate(image, degrees, border=border), image)


def test_the_angle_stays_within_its_limit():
    """A rotation by at most 5 degrees moves nothing by more than 5 degrees' arc."""
    image = np.zeros((65, 65, 1), np.uint8)
    image[30:35, 58:63] = 255
    limited = dataclasses.replace(NONE, rotation_degrees=5.0)
    angles = []
    for seed in range(40):
        rotated = augment(image, limited, rng=np.random.default_rng(seed))[..., 0]
        y, x = np.indices(rotated.shape) - 32
        weight = rotated.astype(float)
        angles.append(np.degrees(np.arctan2((weight * y).sum(), (weight * x).sum())))
    assert max(np.abs(angles)) <= 5.1
    assert min(angles) < -3
    assert max(angles) > 3


def crops(image: np.ndarray, augmentation: Augmentation, *, side: int, number: int):
    return [
        augment(image, augmentation, rng=np.random.default_rng(seed), crop=side)
        for seed in range(number)
    ]


def test_a_crop_is_a_window_of_the_image_and_every_window_appears():
    image = picture(3, side=34)
    windows = {
        image[top : top + 32, left : left + 32].tobytes()
        for top in range(3)
        for left in range(3)
    }
    seen = crops(image, NONE, side=32, number=100)
    assert {crop.shape for crop in seen} == {(32, 32, 3)}
    assert {crop.tobytes() for crop in seen} == windows


def test_a_crop_is_mirrored_and_turned_as_the_image_would_be():
    image = picture(4, side=33)
    permitted = Augmentation(True, True, True)
    windows = [image[t : t + 32, k : k + 32] for t in range(2) for k in range(2)]
    poses = {
        np.rot90(window[::step], turns).tobytes()
        for window in windows
        for step in (1, -1)
        for turns in range(4)
    }
    seen = crops(image, permitted, side=32, number=300)
    assert {crop.tobytes() for crop in seen} == poses


def test_a_turned_crop_holds_nothing_but_the_image():
    """A ramp stays a ramp of the same slope; what a border repeats would be flat."""
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8), (96, 96))[..., None].copy()
    turned = Augmentation(rotation_degrees=180.0, border="edge")
    angles = []
    for crop in crops(ramp, turned, side=32, number=40):
        assert crop.shape == (32, 32, 1)
        # Steps of 8 pixels, for what is rounded to whole grey levels.
        down, right = np.gradient(crop[::8, ::8, 0].astype(float) / 8)
        np.testing.assert_allclose(np.hypot(down, right), 1, atol=0.15)
        angles.append(np.degrees(np.arctan2(down, right)).mean())
    assert min(angles) < -90
    assert max(angles) > 90


def test_a_crop_of_the_whole_image_is_the_image_augmented():
    image = picture(5)
    for seed in range(5):
        whole, crop = (
            augment(
                image,
                augmentation_for("leather"),
                rng=np.random.default_rng(seed),
                crop=side,
            )
            for side in (None, 32)
        )
        np.testing.assert_array_equal(crop, whole)


@pytest.mark.parametrize("side", [0, 33])
def test_a_crop_must_fit_into_the_image(side):
    message = rf"^augment: crop must be from 1 pixel .* got {side} of 32x32 pixels; .*$"
    with pytest.raises(ValueError, match=message):
        augment(picture(0), NONE, rng=np.random.default_rng(0), crop=side)
