import os

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import folder, images


@pytest.fixture
def parts(tmp_path):
    """A folder as people have them: sub-folders, rubbish, a link that leads nowhere."""
    root = tmp_path / "parts"
    content = images.encode(np.zeros((3, 4), np.uint8))
    for name in (
        "b.png",
        "a.JPG",
        "deep/er/c.tiff",
        "._b.png",
        ".cache/d.png",
        "e.txt",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "gone.png").symlink_to(root / "nowhere")
    (root / "folder.png").mkdir()
    return root


def test_a_folder_gives_the_files_named_like_images(parts):
    found = folder.find_images([str(parts)])
    assert found[:2] == (parts, ("a.JPG", "b.png", "gone.png"))
    beside = found.passed_over
    assert beside.files == ("._b.png", "e.txt")
    assert beside.folders == (".cache", "deep", "folder.png")
    assert beside.describe() == (
        "2 files not named like images (e.txt, ._b.png), 3 folders not looked into "
        "(deep, folder.png, .cache; --recursive looks into those that are neither "
        "hidden nor links)"
    )


def test_recursive_goes_below_but_not_into_hidden_folders(parts):
    found = folder.find_images([str(parts)], recursive=True)
    assert found[:2] == (parts, ("a.JPG", "b.png", "deep/er/c.tiff", "gone.png"))
    assert found.passed_over == (("._b.png", "e.txt"), (".cache",), ())


def test_a_link_to_a_folder_is_passed_over_and_told(parts):
    (parts / "link").symlink_to(parts / "deep")
    found = folder.find_images([str(parts)], recursive=True)
    assert found.passed_over.folders == (".cache", "link")


def test_what_another_place_gives_is_not_passed_over(parts):
    where = [str(parts), str(parts / "*.txt"), str(parts / "deep" / "er")]
    found = folder.find_images([*where, str(parts / "*.webp"), str(parts / "*er.png")])
    assert found.names == ("a.JPG", "b.png", "deep/er/c.tiff", "e.txt", "gone.png")
    beside = found.passed_over
    assert beside.files == ("._b.png",)
    assert beside.folders == (".cache", "folder.png")
    assert beside.places == (str(parts / "*.webp"), str(parts / "*er.png"))
    assert beside.describe().endswith(f"no image in {', '.join(beside.places)}")


def test_nothing_passed_over_is_not_told(parts):
    assert folder.find_images([str(parts / "b.png")]).passed_over.describe() == ""


def test_what_a_pattern_matches_is_taken_at_its_word(parts):
    assert folder.find_images([str(parts / "*.txt")])[:2] == (parts, ("e.txt",))
    found = folder.find_images([str(parts / "**" / "*.tiff")])
    assert found[:2] == (parts, ("deep/er/c.tiff",))


def test_a_name_with_brackets_is_a_name_if_it_is_there(parts):
    (parts / "b[1].png").write_bytes(b"")
    assert folder.find_images([str(parts / "b[1].png")]).names == ("b[1].png",)


def test_several_are_joined_below_their_common_folder(parts):
    where = [str(parts / "deep" / "er"), str(parts / "b.png"), str(parts / "*.png")]
    found = folder.find_images(where)
    assert found[:2] == (parts, ("b.png", "deep/er/c.tiff", "gone.png"))


def test_relative_names_and_the_home_folder_will_do(parts, monkeypatch):
    monkeypatch.chdir(parts)
    assert folder.find_images(["."]).root == parts
    assert folder.find_images(["*.txt"])[:2] == (parts, ("e.txt",))
    monkeypatch.setenv("HOME", str(parts))
    assert folder.find_images(["~/deep/er"]).names == ("c.tiff",)


@pytest.mark.parametrize("where", ["nowhere", "nowhere/a.png"])
def test_a_name_that_is_not_there(parts, where):
    with pytest.raises(ValueError, match=f"there is no .*{where}; give a folder") as e:
        folder.find_images([str(parts / where)])
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("where", ["folder.png", "*.webp"])
def test_no_image_at_all(parts, where):
    with pytest.raises(ValueError, match=r"no image in .*\.webp, or --recursive") as e:
        folder.find_images([str(parts / where)])
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match=r"\.webp\.$"):
        folder.find_images([str(parts / where)], recursive=True)


def test_where_there_is_no_image_what_is_there_is_named(tmp_path):
    (tmp_path / "a.tga").touch()
    with pytest.raises(ValueError, match=r"\(1 file not named .* \(a\.tga\)\); give"):
        folder.find_images([str(tmp_path)])


def test_a_folder_that_may_not_be_listed(parts, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(os, "scandir", refuse)  # root may list everything
    with pytest.raises(OSError, match=r"cannot list .*parts \(Permission denied\)"):
        folder.find_images([str(parts)])


def test_reading_gives_pixels(parts):
    pixels = folder.read_image(parts / "b.png", channels=3)
    np.testing.assert_array_equal(pixels, np.zeros((3, 4, 3)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.png", r"gone\.png cannot be read \(No such file"),
        ("folder.png", r"folder\.png is no file"),
        ("pipe.png", r"pipe\.png is no file"),
        ("empty.png", r"empty\.png is truncated"),
    ],
)
def test_what_cannot_be_read_is_named(parts, name, message):
    os.mkfifo(parts / "pipe.png")
    (parts / "empty.png").touch()
    with pytest.raises(ValueError, match=message) as error:
        folder.read_image(parts / name, channels=1)
    assert "\n" not in str(error.value)


def test_colour_is_read_off_the_header_and_never_waited_for(parts):
    Image.new("RGB", (4, 4)).save(parts / "colour.jfif", "jpeg")
    Image.new("RGB", (4, 4)).save(parts / "old.dib", "dib")
    os.mkfifo(parts / "pipe.png")
    names = ("colour.jfif", "old.dib", "b.png", "gone.png", "pipe.png", "folder.png")
    told = [folder.is_colour(parts / name) for name in names]
    assert told == [True, True, False, False, False, False]
    assert folder.read_image(parts / "old.dib", channels=1).shape == (4, 4, 1)
