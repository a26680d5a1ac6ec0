import pytest

from vae_jax.data import listing


@pytest.fixture
def parts(tmp_path):
    names = [
        "a.JPG",
        "b.jfif",
        "c.DIB",
        "._c.png",
        "d.avif",
        "deep/e.png",
        ".git/f.png",
    ]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_other_names_of_the_formats_that_are_read():
    """As `PIL.Image.registered_extensions` has them; a dib is a bmp."""
    names = [f"a.{kind}" for kind in ("jfif", "JFIF", "dib", "apng", "jpx", "j2c")]
    assert all(map(listing.has_image_name, names))
    assert not any(map(listing.has_image_name, ["a.tga", "a.avif", "a.heic", "a.mpo"]))


def test_a_folder_is_listed_with_what_is_passed_over(parts):
    found = listing.list_folder(parts)
    assert found == (("a.JPG", "b.jfif", "c.DIB"), ("d.avif", "deep/"))
    below = listing.list_folder(parts, recursive=True)
    assert below == (("a.JPG", "b.jfif", "c.DIB", "deep/e.png"), ("d.avif",))


def test_links_to_folders_are_passed_over(parts):
    (parts / "deep" / "up").symlink_to(parts, target_is_directory=True)
    found = listing.list_folder(parts, recursive=True)
    assert found.passed_over == ("d.avif", "deep/up/")


def test_what_is_passed_over_is_counted_and_named():
    names = ["deep/", "e.txt", "folder.png/", "h.avif"]
    assert listing.describe_passed_over(names) == (
        "2 files and 2 folders passed over: deep/, e.txt, folder.png/, ..."
    )
    assert listing.describe_passed_over(["a/"]) == "1 folder passed over: a/"
    assert listing.describe_passed_over(["\x1b[2J"]).endswith(r": \x1b[2J")
