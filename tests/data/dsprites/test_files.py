import zipfile

import numpy as np
import pytest

from vae_jax.data import dsprites
from vae_jax.data.dsprites import files
from vae_jax.data.factors import FactorGrid

GRID = FactorGrid(dsprites.GRID.names, (3, 2, 3, 2, 2))


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 2, (GRID.size, 64, 64), np.uint8)


@pytest.fixture
def write(tmp_path, images):
    """The published file's arrays and their types, with fewer values of each factor."""

    def write(**changed):
        classes = np.pad(GRID.classes(np.arange(GRID.size)), ((0, 0), (1, 0)))
        metadata = np.array({"title": "dSprites dataset"}, dtype=object)
        arrays = {
            "metadata": metadata,
            "imgs": images,
            "latents_classes": classes,
            "latents_values": classes.astype(np.float64),
        } | changed
        kept = {name: value for name, value in arrays.items() if value is not None}
        np.savez_compressed(tmp_path / files.FILE, **kept)
        return tmp_path / files.FILE

    return write


@pytest.mark.parametrize("chunk", [7, 4096])
def test_the_published_file_is_packed(write, images, chunk, monkeypatch):
    monkeypatch.setattr(files, "_AT_A_TIME", chunk)
    found = files.load(write())
    assert found.source == "dSprites"
    assert found.grid == GRID
    np.testing.assert_array_equal(found.stored, dsprites.pack(images.astype(bool)))


def test_the_folder_of_the_file_will_do(write, tmp_path):
    write()
    assert files.load(tmp_path).grid == GRID
    assert files.load(str(tmp_path)).grid == GRID


def test_the_names_of_the_published_file_are_known():
    sizes = dict(zip(("sh", "sc", "or", "x", "y"), dsprites.GRID.sizes, strict=True))
    assert "".join(f"{name}{size}" for name, size in sizes.items()) in files.FILE


def broken(change):
    def apply(write, images):
        path = write()
        path.write_bytes(change(path.read_bytes()))

    return apply


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (broken(lambda whole: whole[: len(whole) // 2]), "not a zip file"),
        (broken(lambda whole: b"version https://git-lfs"), "not a zip file"),
        (broken(lambda whole: whole[:999] + b"x" * 99 + whole[1098:]), "."),
        (lambda write, images: write(imgs=None), "no item named 'imgs.npy'"),
        (lambda write, images: write(latents_classes=None), "latents_classes.npy"),
        (lambda write, images: write(imgs=images[:, :32]), "imgs must be uint8"),
        (lambda write, images: write(imgs=images[:-1]), "imgs must be uint8"),
        (lambda write, images: write(imgs=images.astype(float)), "got float64"),
        (lambda write, images: write(imgs=images * 255), "must be 0 and 1, got 255"),
        (
            lambda write, images: write(latents_classes=np.zeros((72, 6), int)),
            "every combination of the factors in order",
        ),
        (
            lambda write, images: write(latents_classes=np.zeros((72, 5), int)),
            "every combination of the factors in order",
        ),
        (
            lambda write, images: write(latents_classes=np.zeros((0, 6), int)),
            "every combination of the factors in order",
        ),
    ],
)
def test_a_broken_file_is_one_line(write, images, tmp_path, damage, reason):
    damage(write, images)
    with pytest.raises(ValueError, match=r"load: .*npz is broken or not") as error:
        files.load(tmp_path)
    assert reason in str(error.value)
    assert "fetch it again" in str(error.value)
    assert "\n" not in str(error.value)


def test_images_that_end_too_soon_are_refused(write, tmp_path):
    path = write()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["imgs.npy"] = members["imgs.npy"][:-5000]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"imgs\.npy ends too soon"):
        files.load(tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "nowhere.npz", "."])
def test_where_there_is_none_it_says_where_to_fetch_it(tmp_path, name):
    with pytest.raises(ValueError, match="must be or hold dsprites_ndarray") as error:
        files.load(tmp_path / name)
    assert "\n" not in str(error.value)
