import re

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vae_jax.data import drawing
from vae_jax.data.synthetic import MARKER, walkway
from vae_jax.data.synthetic.walkway import camera, figures

SMALL = {"frames": 8, "train": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return walkway.write_walkway(tmp_path_factory.mktemp("set") / "a", **SMALL)


def test_the_same_seed_gives_the_same_frames_and_another_does_not(root):
    frames = [
        walkway.render_clip("Test003", seed=seed, frames=8)[6].image for seed in (0, 1)
    ]
    with Image.open(root / walkway.ROOT / "Test/Test003/007.tif") as written:
        np.testing.assert_array_equal(written, frames[0])
    assert not np.array_equal(*frames)


def test_files_have_the_formats_of_the_real_set(root):
    ped1 = root / walkway.ROOT
    with Image.open(ped1 / "Test/Test001/001.tif") as frame:
        assert (frame.format, frame.mode, frame.size) == ("TIFF", "L", (238, 158))
    mask = ped1 / "Test/Test001_gt/001.bmp"
    with Image.open(mask) as opened:
        assert (opened.format, opened.size) == ("BMP", (238, 158))
        assert set(np.unique(opened)) <= {0, 255}
    # A header, a palette of 256 colours, rows padded to four bytes.
    assert mask.stat().st_size == 1078 + 158 * 240
    masked = [path.name for path in sorted((ped1 / "Test").glob("*_gt"))]
    assert masked == ["Test001_gt", "Test003_gt", "Test004_gt", "Test006_gt"]
    stray = {path.name for path in ped1.rglob("*") if re.search(r"^\.|~$", path.name)}
    assert stray == {".DS_Store", "._UCSDped1.m", "UCSDped1.m~"}


def test_labels_are_the_frames_whose_mask_is_not_empty(root):
    text = (root / walkway.ROOT / "Test" / "UCSDped1.m").read_text()
    rows = re.findall(r"gt_frame = \[(.*)\];", text)
    for number in (2, 5):  # of those whose masks are not written
        labelled = set()
        for stretch in rows[number - 1].split(", "):
            first, last = map(int, stretch.split(":"))
            labelled |= set(range(first, last + 1))
        clip = walkway.render_clip(f"Test{number:03}", seed=0, frames=8)
        shown = {index for index, frame in enumerate(clip, 1) if frame.mask.any()}
        assert labelled == shown
    assert len(rows) == len(walkway.TEST_CLIPS)
    assert ", " in rows[4]  # two stretches, with nothing anomalous between


@pytest.mark.parametrize("number", range(1, 7))
def test_what_is_anomalous_is_seen_inside_its_mask_and_nowhere_else(
    number, monkeypatch
):
    """But for its shadow and the blur, the scene without it is the same."""
    name = f"Test{number:03}"
    monkeypatch.setattr(camera, "SHADOW", 0.0)
    frames = walkway.render_clip(name, seed=0, frames=5)
    monkeypatch.setattr(walkway, "_anomalies", lambda *args: iter(()))
    normal = walkway.render_clip(name, seed=0, frames=5)
    shares = [frame.mask.mean() for frame in frames]
    assert min(shares) == 0 < 0.002 < max(shares) < 0.15
    for (image, mask), (without, empty) in zip(frames, normal, strict=True):
        assert not empty.any()
        near = ndimage.binary_dilation(mask, iterations=3)
        change = np.abs(image.astype(int) - without.astype(int))
        # Covered by less than a tenth, a pixel is left out of the mask.
        assert change[~near].max() < 255 * drawing.LEAST_COVERAGE / 2
        assert change[~near].mean() < 0.01
        if mask.any():
            assert change[mask].mean() > 8


def test_training_clips_hold_nothing_anomalous():
    clip = walkway.render_clip("Train002", seed=3, frames=4)
    assert not any(frame.mask.any() for frame in clip)


def test_the_camera_stands_still():
    """Where nobody walks, all frames of all clips differ by light and noise alone."""
    lawn = (slice(90, 150), slice(0, 60))
    first, second = (
        walkway.render_clip(name, seed=0, frames=1)[0].image[lawn].astype(float)
        for name in ("Train001", "Test004")
    )
    difference = first / first.mean() - second / second.mean()
    assert difference.std() < 3 * walkway.NOISE / (second.mean() / 255)


def test_people_become_smaller_with_distance_as_pinholes_make_them():
    heights = []
    for z in (15.0, 30.0):
        feet_and_head = np.array([[0.0, 0.0, z], [0.0, 1.7, z]])
        pixels, depth = camera.project(feet_and_head)
        heights.append(np.ptp(pixels[:, 0]) * depth.mean())
        np.testing.assert_allclose(
            camera.on_ground(pixels[:1]), feet_and_head[:1], atol=1e-9
        )
    assert heights[0] == pytest.approx(heights[1], rel=0.15)


def test_a_walker_stands_on_the_ground_and_a_stride_later_looks_the_same():
    looks = figures.draw_looks(np.random.default_rng(0))
    ahead = np.array([0.0, 0.0, 1.0])
    stride = figures.STRIDE * looks.height
    for distance in np.linspace(0.0, stride, 7):
        parts = figures.walker(looks, distance, ahead)
        later = figures.walker(looks, distance + stride, ahead)
        lowest = min(part.points[:, 1].min() - part.radius for part in parts)
        assert lowest == pytest.approx(0.0, abs=0.03)
        for part, same in zip(parts, later, strict=True):
            np.testing.assert_allclose(part.points, same.points, atol=1e-9)


def test_a_folder_that_holds_the_set_is_left_alone(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert walkway.write_walkway(root, **SMALL) == root
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert (root / MARKER).is_file()


def test_another_set_is_never_overwritten(root):
    with pytest.raises(ValueError, match=r"holds a synthetic set of .*'frames': 8"):
        walkway.write_walkway(root, frames=9, train=2)


@pytest.mark.parametrize("wrong", [{"frames": 7}, {"train": 1}])
def test_a_set_too_small_to_use_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="wanted frames >= 8 and train >= 2"):
        walkway.write_walkway(tmp_path / "set", **wrong)
