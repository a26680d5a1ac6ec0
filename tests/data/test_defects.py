import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.data import defects, drawing
from vae_jax.data.synthetic import render


def normals(count: int = 10, name: str = "synthetic_wood") -> np.ndarray:
    return np.stack(
        [
            render(
                name, split="train", defect="good", index=i, seed=0, image_size=64
            ).image
            for i in range(count)
        ]
    )


@pytest.mark.parametrize("name", ["synthetic_wood", "synthetic_gear"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_only_pixels_inside_the_masks_change(name, dtype):
    images = normals(name=name)
    images = images if dtype == np.uint8 else images.astype(dtype) / 255
    altered, masks, kinds = defects.add_defects(images, seed=0)
    assert altered.dtype == dtype
    assert set(kinds) == set(defects.KINDS)
    np.testing.assert_array_equal(altered[~masks], images[~masks])
    assert altered.min() >= 0
    assert altered.max() <= (255 if dtype == np.uint8 else 1)
    for before, after, mask in zip(images, altered, masks, strict=True):
        change = np.abs(after.astype(float) - before.astype(float))[mask].mean()
        assert change > 0.02 * (255 if dtype == np.uint8 else 1)
        assert 0 < mask.mean() < 0.3


def test_image_i_depends_on_the_seed_and_i_alone():
    images = normals(6)
    whole = defects.add_defects(images, seed=4)
    part = defects.add_defects(images[:3], seed=4)
    other = defects.add_defects(images, seed=5)
    np.testing.assert_array_equal(whole.images[:3], part.images)
    assert not np.array_equal(whole.masks, other.masks)
    np.testing.assert_array_equal(images, normals(6))  # the input is left alone


def test_any_size_and_channels():
    for shape in ((5, 40, 64, 1), (5, 64, 40, 4)):
        images = np.random.default_rng(0).random(shape, np.float32)
        altered, masks, _ = defects.add_defects(images, seed=0)
        assert altered.shape == shape
        assert masks.shape == shape[:3]
        assert masks.any(axis=(1, 2)).all()


def test_a_patch_of_ground_on_ground_is_drawn_again():
    """A plain image with one bright column: most patches would show nothing."""
    image = np.full((64, 64, 1), 0.5)
    image[:, 20:24] = 1.0
    for seed in range(5):
        defect = defects.visible_defect(image, "patch", rng=np.random.default_rng(seed))
        assert np.abs(defect.image - image).max() > 0.04


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_float_images_must_be_in_the_unit_interval(bad):
    images = np.full((1, 32, 32, 1), 0.5, np.float32)
    images[0, 0, 0, 0] = bad
    with pytest.raises(ValueError, match=r"must be in \[0, 1\]"):
        defects.add_defects(images, seed=0)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.02, 0.2), st.integers(0, 99))
def test_a_smooth_blob_has_the_area_asked_for(area, seed):
    coverage = drawing.blob(
        np.random.default_rng(seed),
        (128, 128),
        centre=(0.5, 0.5),
        area=area,
        roughness=0.0,
    )
    assert coverage.mean() == pytest.approx(area, rel=0.03)


def test_a_straight_stroke_has_its_length_and_width():
    points = np.stack([np.full(9, 0.5), np.linspace(0.2, 0.8, 9)], axis=1)
    coverage = drawing.stroke((200, 200), points, width=0.05)
    middle = coverage[:, 100].sum() / 200
    assert middle == pytest.approx(0.05, abs=0.002)
    assert coverage[100].sum() / 200 == pytest.approx(0.6, abs=0.04)


def test_a_disk_has_its_area():
    disk = drawing.disk((200, 100), centre=(1.0, 0.5), radius=0.3)
    assert disk.mean() * 2 == pytest.approx(np.pi * 0.09, rel=0.01)


def test_smooth_noise_varies_over_its_scale():
    """Neighbours a tenth of the scale apart agree; half a picture apart they do not."""
    rng = np.random.default_rng(0)
    fields = np.stack(
        [drawing.smooth_noise(rng, (64, 64), scale=(0.2, 0.2)) for _ in range(200)]
    )
    assert abs(fields.mean()) < 0.03
    assert 0.5 < fields.std() < 1.1

    def correlation(shift: int) -> float:
        return float(
            (fields[:, :, shift:] * fields[:, :, :-shift]).mean() / (fields**2).mean()
        )

    assert correlation(1) > 0.95
    assert abs(correlation(40)) < 0.1


def test_apply_leaves_slightly_covered_pixels_alone():
    image, altered = np.zeros((1, 3, 1)), np.ones((1, 3, 1))
    coverage = np.array([[0.1, 0.5, 1.0]])
    result = drawing.apply(image, altered, coverage)
    np.testing.assert_array_equal(result.mask, [[False, True, True]])
    np.testing.assert_array_equal(result.image[..., 0], [[0.0, 0.5, 1.0]])


def object_on_a_plain_background(side: int = 96) -> np.ndarray:
    image = np.full((side, side, 1), 0.8)
    stripes = 0.3 + 0.2 * (np.arange(24) % 8 < 4)
    image[12:36, 48:72] = stripes[:, None, None]
    return image


def test_defects_lie_on_the_object():
    image = object_on_a_plain_background()
    on_object = np.zeros((96, 96), bool)
    on_object[8:40, 44:76] = True
    for kind in defects.KINDS:
        drawn = [
            defects.visible_defect(image, kind, rng=np.random.default_rng(seed)).mask
            for seed in range(10)
        ]
        touched = [(mask & on_object).any() for mask in drawn]
        assert np.mean(touched) >= 0.8, kind


def test_what_is_missing_shows_the_background():
    image = object_on_a_plain_background()
    defect = defects.visible_defect(image, "missing", rng=np.random.default_rng(0))
    middle = np.abs(defect.image - image)[..., 0] > 0.25
    assert middle.any()
    np.testing.assert_allclose(defect.image[middle].max(), 0.8)


def test_a_warp_moves_values_and_makes_none():
    image = object_on_a_plain_background()
    defect = defects.visible_defect(image, "warp", rng=np.random.default_rng(1))
    assert defect.mask.any()
    assert defect.image.min() >= image.min() - 1e-9
    assert defect.image.max() <= image.max() + 1e-9
    flat = np.full((48, 48, 1), 0.5)
    unseen = defects.visible_defect(flat, "warp", rng=np.random.default_rng(0))
    assert not unseen.mask.any()


def test_a_mask_ends_where_nothing_shows():
    """A bright dot on a plain image: a warp shows only where it moves the dot."""
    image = np.full((100, 100, 1), 0.5)
    image[46:54, 46:54] = 1.0
    for seed in range(5):
        defect = defects.visible_defect(image, "warp", rng=np.random.default_rng(seed))
        changed = np.argwhere(np.abs(defect.image - image)[..., 0] > 1e-6)
        assert defect.mask.any()
        for pixel in np.argwhere(defect.mask):
            assert np.hypot(*(changed - pixel).T).min() < 8
