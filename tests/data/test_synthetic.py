import hashlib
import os

import numpy as np
import pytest
from scipy import ndimage

from vae_jax.data import category, layout, synthetic
from vae_jax.data.synthetic import CATEGORIES, render, write_synthetic

KINDS = [(name, kind) for name, drawn in CATEGORIES.items() for kind in drawn.defects]
SMALL = {"image_size": 40, "train": 3, "test": 20}


def digest(folder) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = b"".join(
        str(path.relative_to(folder)).encode() + path.read_bytes() for path in files
    )
    return hashlib.sha256(content).hexdigest()


def draw(name: str, defect: str, index: int = 0, seed: int = 0, split: str = "test"):
    return render(
        name, split=split, defect=defect, index=index, seed=seed, image_size=96
    )


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    write_synthetic(tmp_path / "a", seed=1, **SMALL)
    write_synthetic(tmp_path / "b", seed=1, **SMALL)
    write_synthetic(tmp_path / "c", seed=2, **SMALL)
    first, again, other = (digest(tmp_path / name) for name in "abc")
    assert first == again != other


def test_an_image_depends_on_its_own_name_alone(tmp_path):
    """Fewer images in a larger plan are the same images."""
    write_synthetic(tmp_path / "a", **SMALL)
    image = render(
        "synthetic_gear", split="train", defect="good", index=1, seed=0, image_size=40
    ).image
    listed = category.images.decode(
        (tmp_path / "a/synthetic_gear/train/good/001.png").read_bytes(),
        channels=1,
        name="x",
    )
    np.testing.assert_array_equal(listed, image)


def test_it_is_read_by_the_builder_of_the_real_set(tmp_path):
    folder = write_synthetic(tmp_path / "set", **SMALL)
    assert layout.find_categories(folder) == sorted(CATEGORIES)
    assert all(name.startswith("synthetic_") for name in CATEGORIES)
    for name, drawn in CATEGORIES.items():
        data = category.load_category(
            folder, name, prepared_dir=tmp_path / "prepared", size=40, seed=0
        )
        assert data.channels == drawn.channels
        assert len(data.train) + len(data.validation) == SMALL["train"]
        assert set(data.test.defects) == {"good", *drawn.defects}
        assert data.test.defects.count("good") == 5
        np.testing.assert_array_equal(
            data.test.masks.any(axis=(1, 2)), data.test.is_anomalous
        )


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_defect_can_be_seen_inside_its_mask_and_nowhere_else(name, kind, monkeypatch):
    """The same scene without the defect differs inside the mask only."""
    drawn = CATEGORIES[name]
    for index in range(4):
        image, mask = draw(name, kind, index)
        with monkeypatch.context() as patch:
            patch.setitem(
                drawn.defects,
                kind,
                lambda scene, rng: (drawn.shade(scene), np.zeros((96, 96), np.bool_)),
            )
            normal, _ = draw(name, kind, index)
        np.testing.assert_array_equal(image[~mask], normal[~mask])
        change = np.abs(image[mask].astype(int) - normal[mask].astype(int))
        assert change.mean() > 4  # of 255
        assert 0.001 < mask.mean() < 0.2
        # The mask is no scatter of pixels: all of it lies in a few regions.
        assert ndimage.label(mask, np.ones((3, 3)))[1] <= 12


@pytest.mark.parametrize("name", sorted(CATEGORIES))
def test_normal_images_differ_as_photographs_do(name):
    images = np.stack([draw(name, "good", index).image for index in range(6)])
    assert not draw(name, "good").mask.any()
    assert 30 < images.mean() < 220
    assert ((images == 0) | (images == 255)).mean() < 0.02  # hardly any clipping
    first, *others = images.astype(float)
    assert all(np.abs(first - other).mean() > 2 for other in others)
    assert (
        len({draw(name, "good", 0, split=s).image.tobytes() for s in ("train", "test")})
        == 2
    )


def test_a_folder_that_holds_the_set_is_left_alone(tmp_path):
    folder = write_synthetic(tmp_path / "set", **SMALL)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_synthetic(folder, **SMALL)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_what_a_kill_left_is_cleared_in_time(tmp_path):
    stale, other = (tmp_path / f".{name}-unfinished-x" for name in ("set", "sets"))
    for folder in (stale, other):
        folder.mkdir()
        os.utime(folder, (1, 1))
    write_synthetic(tmp_path / "set", **SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "set"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "set").mkdir()
    write_synthetic(tmp_path / "set", **SMALL)
    assert (tmp_path / "set" / synthetic.MARKER).is_file()


def test_a_folder_of_something_else_is_never_overwritten(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match="holds something else, wanted"):
        write_synthetic(tmp_path, **SMALL)
    folder = write_synthetic(tmp_path / "set", seed=1, **SMALL)
    with pytest.raises(ValueError, match=r"holds a synthetic set of .*'seed': 1"):
        write_synthetic(folder, seed=2, **SMALL)


@pytest.mark.parametrize("wrong", [{"train": 1}, {"test": 13}, {"image_size": 31}])
def test_a_set_too_small_to_use_is_refused(tmp_path, wrong):
    with pytest.raises(
        ValueError, match="wanted train >= 2, test >= 14 and image_size"
    ):
        write_synthetic(tmp_path / "set", **wrong)
