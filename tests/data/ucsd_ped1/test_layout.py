import numpy as np
import pytest

from vae_jax.data.ucsd_ped1 import layout

PUBLISHED = """
60:152 | 50:175 | 91:200 | 31:168 | 5:90, 140:200 | 1:100, 110:200 | 1:175 | 1:94 |
1:48 | 1:140 | 70:165 | 130:200 | 1:156 | 1:200 | 138:200 | 123:200 | 1:47 | 54:120 |
64:138 | 45:175 | 31:200 | 16:107 | 8:165 | 50:171 | 40:135 | 77:144 | 10:122 |
105:200 | 1:15, 45:113 | 175:200 | 1:180 | 1:52, 65:115 | 5:165 | 1:121 | 86:200 |
15:108
"""
"""The 36 rows of the published UCSDped1.m."""


def text_of(rows):
    return "\n".join(f"TestVideoFile{{end+1}}.gt_frame = [{row}];" for row in rows)


def test_labels_of_the_published_file_add_up():
    """4,045 anomalous frames; in the masked clips as many as masks with a pixel."""
    rows = [row.strip() for row in PUBLISHED.split("|")]
    labels = layout.parse_labels("TestVideoFile = {};\n" + text_of(rows))
    counts = [sum(map(len, ranges)) for ranges in labels]
    assert len(counts) == layout.PUBLISHED_CLIPS
    assert sum(counts) == 4045
    masked = [counts[number - 1] for number in sorted(layout.PUBLISHED_MASKED)]
    assert masked == [110, 138, 200, 67, 75, 170, 92, 158, 122, 103]


@pytest.mark.parametrize(
    ("row", "frames"),
    [
        ("5:7", [5, 6, 7]),
        ("1:2, 4:5", [1, 2, 4, 5]),
        ("1:2,4:5", [1, 2, 4, 5]),
        (" 1:2  4 ", [1, 2, 4]),
        ("3", [3]),
        ("", []),
    ],
)
def test_both_ends_of_a_range_count(row, frames):
    (ranges,) = layout.parse_labels(text_of([row]))
    assert [frame for stretch in ranges for frame in stretch] == frames


def test_comments_are_no_labels():
    text = "% gt_frame = [1:9];\n" + text_of(["2:3"]) + " % until it leaves"
    assert layout.parse_labels(text) == [(range(2, 4),)]


@pytest.mark.parametrize("row", ["7:5", "0:4", "a:b", "1:2:3", "1.5"])
def test_what_is_no_range_is_refused(row):
    with pytest.raises(ValueError, match="wanted ranges of frames") as error:
        layout.parse_labels(text_of([row]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_the_folders_above_will_do(root, levels):
    given = [root, *root.parents][levels]
    assert layout.find_root(given).resolve() == root
    assert len(layout.list_clips(given).test) == 4


def test_frames_masks_and_labels_belong_together(root):
    files = layout.list_clips(root)
    assert [clip.name for clip in files.train] == ["Train001", "Train002", "Train003"]
    assert [len(clip.frames) for clip in files.test] == [6, 6, 6, 6]
    assert [clip.masks is None for clip in files.test] == [False, True, False, True]
    found = [np.flatnonzero(clip.is_anomalous) + 1 for clip in files.test]
    assert [each.tolist() for each in found] == [[2, 3], [], [1, 2, 5, 6], [4]]
    assert not any(any(clip.is_anomalous) for clip in files.train)
    masks = files.test[2].masks
    assert masks is not None
    assert [mask.stem for mask in masks] == [f.stem for f in files.test[2].frames]


def test_stray_files_are_passed_over(root):
    before = layout.list_clips(root)
    for stray in (
        ".DS_Store",
        "._.DS_Store",
        "README.txt~",
        "Train/.DS_Store",
        "Train/Train001/._001.tif",
        "Train/Train001/Thumbs.db",
        "Test/UCSDped1.m~",
        "Test/._UCSDped1.m",
        "Test/Test001/001.tif~",
        "Test/Test001_gt/._001.bmp",
        "Test/Test009",  # a file, not a clip
    ):
        (root / stray).write_bytes(b"\0")
    (root / "Test" / ".Test005").mkdir()
    assert layout.list_clips(root) == before
    assert "Test/UCSDped1.m" in before.files


def test_masks_are_matched_by_their_digits(root):
    """Some were published as frame001.bmp; sorted by name they would come last."""
    folder = root / "Test" / "Test001_gt"
    (folder / "002.bmp").rename(folder / "frame002.BMP")
    masks = layout.list_clips(root).test[0].masks
    assert masks is not None
    assert masks[1].name == "frame002.BMP"


def remove(path):
    if path.is_dir():
        for child in path.iterdir():
            child.unlink()
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: remove(r / "Test/Test002"), r"Test004, but no Test002"),
        (lambda r: remove(r / "Train/Train001"), r"Train003, but no Train001"),
        (lambda r: remove(r / "Test/Test004"), r"rows for 4 clips, .* 3 folders"),
        (lambda r: remove(r / "Test/UCSDped1.m"), r"there is no .*UCSDped1\.m"),
        (lambda r: remove(r / "Test/Test002/003.tif"), r"Test002 has no frame 3"),
        (lambda r: remove(r / "Test/Test001_gt/006.bmp"), "5 masks for 6 frames"),
        (lambda r: remove(r / "Test/Test001_gt/001.bmp"), "no mask 1"),
        (
            lambda r: (r / "Test/Test001_gt/frame4.bmp").touch(),
            "Test001_gt has mask 4 twice",
        ),
        (
            lambda r: (r / "Test/Test001_gt").rename(r / "Test/Test007_gt"),
            "Test007_gt holds masks, but there is no clip",
        ),
        (
            lambda r: [f.unlink() for f in (r / "Train/Train002").iterdir()],
            "Train002 holds no frame",
        ),
        (
            lambda r: (r / "Test/UCSDped1.m").write_text(
                text_of(["2:3", "", "1:2, 5:7", "4"])
            ),
            "marks frame 7 of Test003, which has 6 frames",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(root, spoil, message):
    spoil(root)
    with pytest.raises(ValueError, match=message) as error:
        layout.list_clips(root)
    assert "\n" not in str(error.value)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder .*nowhere"):
        layout.find_root(tmp_path / "nowhere")
    (tmp_path / "Train").mkdir()
    with pytest.raises(ValueError, match="holds no UCSD Ped1"):
        layout.find_root(tmp_path)


@pytest.fixture
def whole_set(root, write_masks):
    """36 test clips of six frames, the published ten with masks."""
    test = root / "Test"
    for path in list(test.glob("*_gt")):
        remove(path)
    frame = (test / "Test001" / "001.tif").read_bytes()
    for number in range(5, 37):
        folder = test / f"Test{number:03}"
        folder.mkdir()
        for index in range(1, 7):
            (folder / f"{index:03}.tif").write_bytes(frame)
    for number in layout.PUBLISHED_MASKED:
        write_masks(test / f"Test{number:03}_gt", [2])
    (test / "UCSDped1.m").write_text(text_of(["2"] * 36))
    return root


def test_the_published_set_has_masks_of_ten_clips(whole_set):
    masked = [clip.name for clip in layout.list_clips(whole_set).test if clip.masks]
    assert masked == [f"Test{number:03}" for number in sorted(layout.PUBLISHED_MASKED)]


def test_a_lost_mask_folder_is_no_clip_without_masks(whole_set):
    remove(whole_set / "Test" / "Test014_gt")
    with pytest.raises(ValueError, match="lacks masks of Test014"):
        layout.list_clips(whole_set)


def test_masks_of_other_clips_are_another_annotation(whole_set, write_masks):
    write_masks(whole_set / "Test" / "Test005_gt", [2])
    with pytest.raises(ValueError, match=r"masks of Test005, .*ped1_full"):
        layout.list_clips(whole_set)


def test_another_annotation_must_be_of_every_clip(root, tmp_path, write_masks):
    for number in (1, 2, 4):
        write_masks(tmp_path / "masks" / f"Test{number:03}_gt", [1])
    with pytest.raises(ValueError, match="lacks masks of Test003"):
        layout.list_clips(root, masks_dir=tmp_path / "masks")
    write_masks(tmp_path / "masks" / "Test003_gt", [1])
    files = layout.list_clips(root, masks_dir=tmp_path / "masks")
    assert all(clip.masks is not None for clip in files.test)
