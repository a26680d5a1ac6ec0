import shutil

import pytest

from vae_jax.data import layout


def one_line(error: pytest.ExceptionInfo[ValueError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_categories_are_the_folders_with_train_good(data_dir):
    (data_dir / "notes").mkdir()
    (data_dir / ".cache" / "train" / "good").mkdir(parents=True)
    (data_dir / "readme.txt").touch()
    assert layout.find_categories(data_dir) == ["leather", "screw"]


def test_the_folder_above_the_published_one_will_do(data_dir, tmp_path):
    data_dir.rename(tmp_path / "mvtec_anomaly_detection")
    assert layout.find_categories(tmp_path) == ["leather", "screw"]
    assert len(layout.list_category(tmp_path, "screw").train) == 6


def test_masks_are_paired_by_defect_and_stem(data_dir):
    files = layout.list_category(data_dir, "screw")
    assert [(e.image, e.mask) for e in files.test] == [
        ("test/bent/000.png", "ground_truth/bent/000_mask.png"),
        ("test/bent/007.png", "ground_truth/bent/007_mask.png"),
        ("test/cut/003.png", "ground_truth/cut/003_mask.png"),
        ("test/cut/011.png", "ground_truth/cut/011_mask.png"),
        ("test/good/000.png", None),
        ("test/good/001.png", None),
    ]
    assert [e.image for e in files.train] == [f"train/good/00{i}.png" for i in range(6)]
    assert files.unmasked == files.skipped_masks == ()


def test_dot_files_are_ignored_and_upper_case_accepted(data_dir):
    screw = data_dir / "screw"
    (screw / "train" / "good" / "._000.png").touch()
    (screw / "test" / ".DS_Store").touch()
    (screw / "test" / "cut" / ".hidden.png").touch()
    (screw / "test" / "cut" / "003.png").rename(screw / "test" / "cut" / "003.PNG")
    files = layout.list_category(data_dir, "screw")
    assert len(files.train) == 6
    assert layout.Entry("test/cut/003.PNG", "ground_truth/cut/003_mask.png", "cut") in (
        files.test
    )


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere") as error:
        layout.find_categories(tmp_path / "nowhere")
    one_line(error)


def test_folder_without_a_category(tmp_path):
    with pytest.raises(ValueError, match="holds no category") as error:
        layout.find_categories(tmp_path)
    one_line(error)


def test_a_category_given_for_the_folder_above_it_is_the_only_one(
    data_dir, monkeypatch
):
    screw = data_dir / "screw"
    assert layout.find_categories(screw) == ["screw"]
    assert layout.list_category(screw, "screw") == layout.list_category(
        data_dir, "screw"
    )
    monkeypatch.chdir(screw)
    assert layout.find_categories(".") == ["screw"]


@pytest.fixture
def parts(tmp_path, write_png):
    """Fills my_parts with images of the names given, and returns it."""

    def make(*names: str):
        for name in names:
            write_png(tmp_path / "my_parts" / name)
        return tmp_path / "my_parts"

    return make


@pytest.mark.parametrize("below", ["train/good/", "good/", ""])
def test_normal_images_alone_are_a_category_named_after_their_folder(parts, below):
    root = parts(f"{below}b.png", f"{below}a.JPG", f"{below}c.tiff", f"{below}._c.tiff")
    (root / below / "notes.txt").touch()
    assert layout.find_categories(root) == ["my_parts"]
    files = layout.list_category(root, "my_parts")
    assert [entry.image for entry in files.train] == [
        f"{below}a.JPG",
        f"{below}b.png",
        f"{below}c.tiff",
    ]
    assert all((files.folder / entry.image).is_file() for entry in files.train)
    assert files.test == ()
    assert files.is_as_published == (below == "train/good/")
    assert all(layout.is_training_image(entry.image) for entry in files.train)


def test_several_folders_of_normal_images_are_categories(parts):
    root = parts("nuts/good/a.png", "bolts/train/good/a.png", "notes/a.png", "a.png")
    assert layout.find_categories(root) == ["bolts", "nuts"]
    files = layout.list_category(root, "nuts")
    assert [entry.image for entry in files.train] == ["good/a.png"]


def test_the_published_layout_wins_over_what_lies_beside_it(parts):
    root = parts("train/good/a.png", "good/b.png", "c.png", "other/good/d.png")
    (entry,) = layout.list_category(root, "my_parts").train
    assert entry.image == "train/good/a.png"


def test_folders_below_a_folder_of_images_are_not_looked_into(parts):
    root = parts("a.png", "rejected/b.png")
    (entry,) = layout.list_category(root, "my_parts").train
    assert entry.image == "a.png"


@pytest.mark.parametrize("inside", ["test/good/a.png", "good/good/a.png"])
def test_parts_of_a_category_are_no_categories(parts, inside):
    root = parts(inside)
    with pytest.raises(ValueError, match=r"holds no (category|image)") as error:
        layout.list_category(root, "my_parts")
    one_line(error)


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ("bad/a.png", "beside it bad;"),
        ("nuts/good/a.png", "beside it nuts;"),
        ("b.png", "beside it 1 images;"),
    ],
)
def test_what_lies_beside_good_is_not_left_out_without_a_word(parts, beside, said):
    root = parts("good/a.png", beside)
    with pytest.raises(ValueError, match=said) as error:
        layout.find_categories(root)
    assert f"give {root}/good to train on it alone" in one_line(error)
    assert layout.find_categories(root / "good") == ["good"]


def test_a_test_split_may_be_missing_or_of_one_class(data_dir):
    shutil.rmtree(data_dir / "screw/test/good")
    files = layout.list_category(data_dir, "screw")
    assert {entry.defect for entry in files.test} == {"bent", "cut"}
    for part in ("test", "ground_truth"):
        shutil.rmtree(data_dir / "screw" / part)
    files = layout.list_category(data_dir, "screw")
    assert (len(files.train), files.test, files.is_as_published) == (6, (), True)


def test_unknown_category_suggests_the_nearest(data_dir):
    with pytest.raises(ValueError, match="did you mean 'screw'") as error:
        layout.list_category(data_dir, "scerw")
    assert "Found: leather, screw." in one_line(error)
    with pytest.raises(ValueError, match=r"unknown category 'xyz'\. Found: leather"):
        layout.list_category(data_dir, "xyz")


def test_defect_image_without_a_mask(data_dir):
    (data_dir / "screw/ground_truth/cut/003_mask.png").unlink()
    with pytest.raises(
        ValueError, match=r"1 defect images without a mask \(test/cut/003\.png\)"
    ) as error:
        layout.list_category(data_dir, "screw")
    assert "missing_masks='skip' (--missing-masks skip)" in one_line(error)


def test_mask_without_an_image(data_dir):
    (data_dir / "screw/test/cut/003.png").unlink()
    with pytest.raises(
        ValueError, match=r"1 masks without an image \(ground_truth/cut/003_mask\.png\)"
    ) as error:
        layout.list_category(data_dir, "screw")
    one_line(error)


@pytest.mark.parametrize("second", ["003.png", "003_mask.bmp"])
def test_two_masks_of_one_image_are_refused(data_dir, write_png, second):
    write_png(data_dir / "screw/ground_truth/cut" / second, 255)
    with pytest.raises(ValueError, match=r"are both the mask of test/cut/003;") as e:
        layout.list_category(data_dir, "screw")
    assert f"ground_truth/cut/{second}" in one_line(e)


def test_a_missing_stem_does_not_shift_the_pairs(data_dir):
    """One image and another mask are gone: the counts agree, the pairs do not."""
    (data_dir / "screw/test/cut/003.png").unlink()
    (data_dir / "screw/ground_truth/cut/011_mask.png").unlink()
    with pytest.raises(ValueError, match=r"without a mask .* and .* without an image"):
        layout.list_category(data_dir, "screw")
    files = layout.list_category(data_dir, "screw", missing_masks="skip")
    assert files.unmasked == ("test/cut/011.png",)
    assert files.skipped_masks == ("ground_truth/cut/003_mask.png",)
    assert [(entry.defect, entry.mask is None) for entry in files.test] == [
        *[("bent", False)] * 2,
        ("cut", True),
        *[("good", True)] * 2,
    ]


def test_only_the_first_few_names_are_shown(data_dir):
    shutil.rmtree(data_dir / "screw/ground_truth")
    with pytest.raises(ValueError, match=r"4 defect images .*003\.png, \.\.\.\)"):
        layout.list_category(data_dir, "screw")


@pytest.mark.parametrize("part", ["train/good", "test"])
def test_an_empty_part_is_refused(data_dir, part):
    folder = data_dir / "screw" / part
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(ValueError, match=f"{part} holds no image") as error:
        layout.list_category(data_dir, "screw")
    one_line(error)


def test_what_is_passed_over_is_listed_and_notes_and_dot_files_are_not(data_dir):
    screw = data_dir / "screw"
    assert layout.list_category(data_dir, "screw").passed_over == ()
    for name in (
        *("license.txt", "a.png", "more/a.png", ".git/a.png", "train/bad/a.png"),
        *("train/good/a.avif", "train/good/old/a.png", "test/a.png", "test/b.txt"),
        *("test/cut/a.tga", "test/dent/a.tga", "test/.x/a.png"),
        *("ground_truth/cut/a.txt", "ground_truth/notes.txt"),
    ):
        (screw / name).parent.mkdir(parents=True, exist_ok=True)
        (screw / name).touch()
    files = layout.list_category(data_dir, "screw")
    assert files.passed_over == (
        *("a.png", "ground_truth/cut/a.txt", "ground_truth/notes.txt", "more/"),
        *("test/a.png", "test/b.txt", "test/cut/a.tga", "test/dent/a.tga"),
        *("train/bad/", "train/good/a.avif", "train/good/old/"),
    )
    assert {entry.defect for entry in files.test} == {"bent", "cut", "good"}


def test_of_a_folder_of_normals_too_it_is_listed(parts):
    root = parts("good/a.png", "good/b.jfif", "good/deep/c.png")
    (root / "bad" / "deep").mkdir(parents=True)
    (root / "readme.txt").touch()
    files = layout.list_category(root, "my_parts")
    assert [entry.image for entry in files.train] == ["good/a.png", "good/b.jfif"]
    assert files.passed_over == ("bad/", "good/deep/")
    files = layout.list_category(root / "good", "good")
    assert files.passed_over == ("deep/",)
