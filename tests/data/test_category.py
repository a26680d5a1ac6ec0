import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vae_jax.data import category, images, mvtec_ad


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_the_split_is_a_partition_with_an_image_on_either_side(count, share, seed):
    paths = [f"train/good/{index:03}.png" for index in range(count)]
    train, validation = category.validation_split(paths, share=share, seed=seed)
    assert sorted([*train, *validation]) == list(range(count))
    assert len(train) >= 1
    assert len(validation) == min(max(1, round(share * count)), count - 1)


def test_the_split_depends_on_the_seed_and_hardly_on_new_images():
    paths = [f"{index:03}.png" for index in range(100)]
    _, first = category.validation_split(paths, share=0.2, seed=0)
    _, again = category.validation_split(paths, share=0.2, seed=0)
    _, other = category.validation_split(paths, share=0.2, seed=1)
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)
    _, grown = category.validation_split([*paths, "100.png"], share=0.2, seed=0)
    assert len(set(first) & set(grown)) >= len(first) - 1


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_must_leave_something(share):
    with pytest.raises(ValueError, match=r"share must be in \(0, 1\)"):
        category.validation_split(["a", "b"], share=share, seed=0)


def test_one_training_image_cannot_be_split():
    with pytest.raises(ValueError, match="needs at least 2 images, got 1"):
        category.validation_split(["a"], seed=0)


def load(data_dir, tmp_path, name="leather", **options):
    settings = {"size": 32, "seed": 0, "prepared_dir": tmp_path / "prepared", **options}
    return category.load_category(data_dir, name, **settings)


def test_training_and_validation_divide_train_good(data_dir, tmp_path):
    data = load(data_dir, tmp_path, validation_share=0.34)
    assert data.train.shape == (4, 32, 32, 3)
    assert data.validation.shape == (2, 32, 32, 3)
    # Image i of train/good is 10 i below its middle.
    values = [*data.train[:, -1, -1, 0], *data.validation[:, -1, -1, 0]]
    assert sorted(values) == [0, 10, 20, 30, 40, 50]


def test_test_images_come_with_their_names_and_masks(data_dir, tmp_path):
    test = load(data_dir, tmp_path, "screw").test
    assert test.defects == ("bent", "bent", "cut", "cut", "good", "good")
    assert test.paths[3] == "test/cut/011.png"
    np.testing.assert_array_equal(test.is_anomalous, [1, 1, 1, 1, 0, 0])
    native = list(test.native_masks)
    assert [int(mask.sum()) for mask in native] == [5, 40, 20, 60, 0, 0]
    for small, mask in zip(test.masks, native, strict=True):
        np.testing.assert_array_equal(small, images.resize_mask(mask, 32))


def test_channels_on_request(data_dir, tmp_path):
    assert load(data_dir, tmp_path, "screw").channels == 1
    assert load(data_dir, tmp_path, "screw", channels=3).train.shape[-1] == 3
    assert load(data_dir, tmp_path, "leather", channels=1).test.images.shape[-1] == 1


def test_decoding_on_demand_gives_the_same_pixels(data_dir, tmp_path):
    decoded = load(data_dir, tmp_path).train
    on_demand = load(data_dir, tmp_path, decoded_bytes=0).train
    assert isinstance(on_demand, category.DecodedOnDemand)
    np.testing.assert_array_equal(np.stack(list(on_demand)), decoded)


def test_progress_counts_every_image_once(data_dir, tmp_path):
    seen = []
    load(data_dir, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(index + 1, 12) for index in range(12)]


def test_a_test_split_of_one_class_is_loaded(data_dir, tmp_path):
    for file in (data_dir / "screw/test/good").iterdir():
        file.unlink()
    test = load(data_dir, tmp_path, "screw").test
    assert len(test.images) == 4
    assert not test.has_both_classes


@pytest.mark.parametrize("below", ["train/good", "good", "."])
def test_normal_images_alone_are_enough(tmp_path, below):
    root = tmp_path / "my parts (2)"
    (root / below).mkdir(parents=True)
    for index, kind in enumerate(("png", "jpg", "tif", "bmp", "webp")):
        image = Image.fromarray(np.full((40, 50, 3), 40 * index, np.uint8))
        image.save(root / below / f"{index}.{kind}")
    data = load(root, tmp_path, "my parts (2)")
    assert data.train.shape == (4, 32, 32, 3)
    values = np.sort([*data.train[:, 0, 0, 0], *data.validation[:, 0, 0, 0]])
    np.testing.assert_allclose(values, [0, 40, 80, 120, 160], atol=2)  # lossy ones
    assert data.test.images.shape == (0, 32, 32, 3)
    assert data.test.masks.shape == (0, 32, 32)
    assert list(data.test.native_masks) == []
    assert not data.test.has_both_classes
    assert data.at_size(48).train.shape == (4, 48, 48, 3)
    assert data.native_size == (40, 50)


def test_a_defect_image_with_an_empty_mask_is_named(data_dir, tmp_path, write_png):
    write_png(data_dir / "screw/ground_truth/cut/011_mask.png", 0)
    with pytest.raises(
        ValueError, match=r"test/cut/011\.png has a defect, .* paint the defect"
    ):
        load(data_dir, tmp_path, "screw")


def test_a_camera_of_12_bits_fills_the_range(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for index, value in enumerate((300, 2048, 4000)):
        wide = np.full((40, 40), value, np.uint16)
        Image.fromarray(wide).save(folder / f"{index}.png")
    data = load(folder, tmp_path, "parts")
    assert data.bits == 12
    for loaded in (data, data.at_size(48)):
        seen = {*loaded.train[:, 0, 0, 0], *loaded.validation[:, 0, 0, 0]}
        assert seen == {19, 128, 249}  # of 255


def test_what_is_only_called_a_texture_is_none(data_dir, tmp_path, write_png):
    small = load(data_dir, tmp_path)
    assert (small.is_published, small.is_texture) == (False, False)
    for index in range(6):
        path = data_dir / f"leather/train/good/{index:03}.png"
        write_png(path, 10 * index, mode="RGB", side=1024)
    published = load(data_dir, tmp_path)
    assert (published.is_published, published.is_texture) == (True, True)


def test_on_demand_no_training_image_is_decoded(data_dir, tmp_path, monkeypatch):
    data = load(data_dir, tmp_path, validation_share=0.34)
    decode, decoded = category.decode_record, []
    monkeypatch.setattr(
        category,
        "decode_record",
        lambda record, **how: decoded.append(record["path"]) or decode(record, **how),
    )
    larger = data.at_size_on_demand(48)
    assert sum(path.startswith("train") for path in decoded) == 2
    np.testing.assert_array_equal(np.stack(list(larger.train)), data.at_size(48).train)
    np.testing.assert_array_equal(larger.test.images, data.at_size(48).test.images)


def test_an_image_too_small_is_named(data_dir, tmp_path):
    with pytest.raises(ValueError, match=r"\.png is 40x40 pixels, smaller"):
        load(data_dir, tmp_path, size=256)


def test_the_provenance_is_that_of_the_builder(data_dir, tmp_path):
    data = load(data_dir, tmp_path)
    builder = mvtec_ad.prepare(data_dir, "leather", tmp_path / "prepared")
    assert data.sha256 == builder.manifest["sha256"]
    assert data.shortest_side == 40
    assert data.bits == 16
    assert data.notes == ()


def test_one_gray_file_takes_no_colour_from_the_others(tmp_path, write_png):
    root = tmp_path / "parts"
    for index in range(20):
        write_png(root / f"{index:02}.png", 10 * index, mode="RGB" if index else "L")
    data = load(root, tmp_path, "parts")
    assert (data.channels, data.train.shape[-1]) == (3, 3)
    assert data.notes == ("1 of 20 images are gray, and are read as colour ones",)
    gray = load(root, tmp_path, "parts", channels=1)
    assert gray.notes == ("19 of 20 images are in colour, and are read as gray ones",)


def test_a_colour_test_image_keeps_its_colour_beside_gray_normal_ones(
    data_dir, tmp_path, write_png
):
    write_png(data_dir / "screw/test/cut/003.png", 90, mode="RGB")
    data = load(data_dir, tmp_path, "screw")
    assert (data.channels, data.is_published) == (3, False)
    assert data.notes == ("11 of 12 images are gray, and are read as colour ones",)


def test_what_was_passed_over_is_told_also_where_it_came_later(data_dir, tmp_path):
    load(data_dir, tmp_path, "screw")
    (data_dir / "screw/train/good/new.tga").touch()
    (data_dir / "screw/test/cut/deep").mkdir()
    assert load(data_dir, tmp_path, "screw").notes == (
        "1 file and 1 folder passed over: test/cut/deep/, train/good/new.tga",
    )


def test_defects_without_a_mask_are_there_and_told(data_dir, tmp_path, write_png):
    (data_dir / "screw/ground_truth/cut/003_mask.png").unlink()
    write_png(data_dir / "screw/ground_truth/cut/011_mask.png", 1)
    data = load(data_dir, tmp_path, "screw", missing_masks="skip")
    assert data.notes == (
        "1 defect images have no mask, and count as whole images alone",
        "1 masks are not of black and white; what is painted in them is taken for the "
        "defect",
    )
    test = data.test
    assert test.paths[2] == "test/cut/003.png"
    assert test.unmasked == {2}
    np.testing.assert_array_equal(test.is_masked, [1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(test.is_anomalous, [1, 1, 1, 1, 0, 0])
    assert test.can_score_pixels
