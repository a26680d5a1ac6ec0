"""The folder layout in which UCSD Ped1 is published, read without decoding a frame.

<root>/Train/Train001/001.tif
<root>/Test/Test001/001.tif
<root>/Test/Test003_gt/001.bmp       for ten of the 36 test clips
<root>/Test/UCSDped1.m               the anomalous frames of every test clip

Names are matched as a whole, so the stray files of the published folder (.DS_Store,
._UCSDped1.m, UCSDped1.m~) are passed over; a mask belongs to the frame of its number.
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

LABEL_FILE = "UCSDped1.m"
ROOTS = (".", "UCSDped1", "UCSD_Anomaly_Dataset.v1p2/UCSDped1")
PUBLISHED_CLIPS = 36
PUBLISHED_MASKED = frozenset({3, 4, 14, 18, 19, 21, 22, 23, 24, 32})
"""The test clips whose masks belong to the set."""

_FRAME = re.compile(r"(\d+)\.tiff?", re.IGNORECASE)
_MASK = re.compile(r"[A-Za-z_]*(\d+)\.(?:bmp|png)", re.IGNORECASE)
_ROW = re.compile(r"gt_frame\s*=\s*\[([^\]]*)\]")
_RANGE = re.compile(r"(\d+)(?::(\d+))?")


@dataclasses.dataclass(frozen=True)
class Clip:
    """One clip: its frames in order, what is anomalous, and masks if there are any."""

    name: str
    frames: tuple[Path, ...]
    is_anomalous: tuple[bool, ...]
    masks: tuple[Path, ...] | None


@dataclasses.dataclass(frozen=True)
class Ped1Files:
    """All clips of a folder."""

    root: Path
    train: tuple[Clip, ...]
    test: tuple[Clip, ...]

    @property
    def files(self) -> dict[str, Path]:
        """Every frame and mask and the label file, by a name that tells which it is."""
        clips = (*self.train, *self.test)
        paths = [path for clip in clips for path in (*clip.frames, *(clip.masks or ()))]
        named = {"/".join(path.parts[-3:]): path for path in paths}
        return named | {f"Test/{LABEL_FILE}": self.root / "Test" / LABEL_FILE}


def find_root(data_dir: str | Path) -> Path:
    """Returns the folder that holds Train and Test: `data_dir`, or in it.

    It may be UCSDped1, the UCSD_Anomaly_Dataset.v1p2 that holds it, or one above.

    Raises:
        ValueError: there is none.
    """
    folder = Path(data_dir).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"find_root: there is no folder {folder}; give that of UCSD Ped1."
        )
    for root in (folder / name for name in ROOTS):
        if all(_numbered_folders(root / split, split) for split in ("Train", "Test")):
            return root
    raise ValueError(
        f"find_root: {folder} holds no UCSD Ped1, that is no Train/Train001 and "
        "Test/Test001; unpack UCSD_Anomaly_Dataset.tar.gz there or give its folder."
    )


def list_clips(
    data_dir: str | Path, *, masks_dir: str | Path | None = None
) -> Ped1Files:
    """Lists all clips, with labels, and with masks as published or from `masks_dir`.

    Args:
        data_dir: see `find_root`.
        masks_dir: a folder with a TestNNN_gt for every test clip, of somebody else's
            annotation; None takes the published ones.

    Raises:
        ValueError: a clip, frame or mask is missing or there twice, the label file is
            missing or not of these clips, or masks are there that were not published.
    """
    root = find_root(data_dir)
    train, test = (_clip_folders(root / split, split) for split in ("Train", "Test"))
    frames = [_numbered_files(folder, _FRAME, "frame") for folder in test]
    labels = _read_labels(root / "Test" / LABEL_FILE, list(map(len, frames)))
    if masks_dir is None:
        masks = _published_masks(root / "Test", len(test))
    else:
        masks = _all_masks(Path(masks_dir).expanduser(), len(test))
    tests = (
        Clip(folder.name, each, marked, _masks_of(each, masks.get(number)))
        for number, (folder, each, marked) in enumerate(
            zip(test, frames, labels, strict=True), 1
        )
    )
    return Ped1Files(root, tuple(map(_training_clip, train)), tuple(tests))


def parse_labels(text: str) -> list[tuple[range, ...]]:
    """The anomalous frames of each clip: ranges of frame numbers, which begin at 1.

    A row such as `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];` is MATLAB: both
    ends of a range count, a row may have several or none, % begins a comment.

    Raises:
        ValueError: a row holds something else.
    """
    code = "\n".join(line.split("%")[0] for line in text.splitlines())
    return [
        tuple(
            _parse_range(part, row) for part in re.split(r"[,\s]+", row.strip()) if part
        )
        for row in _ROW.findall(code)
    ]


def _parse_range(part: str, row: str) -> range:
    match = _RANGE.fullmatch(part)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last:
        raise ValueError(
            f"parse_labels: wanted ranges of frames such as 5:90, got {part!r} in "
            f"[{row}]; correct {LABEL_FILE}."
        )
    return range(first, last + 1)


def _read_labels(file: Path, lengths: Sequence[int]) -> list[tuple[bool, ...]]:
    """Of each clip and frame, whether it is anomalous."""
    if not file.is_file():
        raise ValueError(
            f"list_clips: there is no {file}, which says what frames are anomalous; "
            "it is part of the published folder."
        )
    rows = parse_labels(file.read_text())
    if len(rows) != len(lengths):
        raise ValueError(
            f"list_clips: {LABEL_FILE} has rows for {len(rows)} clips, but there are "
            f"{len(lengths)} folders Test001 to Test{len(lengths):03}; "
            "complete the folder or the file."
        )
    labels = []
    for number, (ranges, length) in enumerate(zip(rows, lengths, strict=True), 1):
        last = max((stretch[-1] for stretch in ranges), default=0)
        if last > length:
            raise ValueError(
                f"list_clips: {LABEL_FILE} marks frame {last} of Test{number:03}, "
                f"which has {length} frames; complete the clip or correct the file."
            )
        marked = {frame for stretch in ranges for frame in stretch}
        labels.append(tuple(frame in marked for frame in range(1, length + 1)))
    return labels


def _training_clip(folder: Path) -> Clip:
    frames = _numbered_files(folder, _FRAME, "frame")
    return Clip(folder.name, frames, (False,) * len(frames), None)


def _published_masks(folder: Path, clips: int) -> dict[int, Path]:
    """The masked clips by number; in a whole set, those that were published."""
    masks = _numbered_folders(folder, "Test", "_gt")
    unknown = sorted(number for number in masks if number > clips)
    if unknown:
        raise ValueError(
            f"list_clips: {masks[unknown[0]]} holds masks, but there is no clip of "
            "that number; add it or remove them."
        )
    if clips == PUBLISHED_CLIPS and masks.keys() != PUBLISHED_MASKED:
        missing = sorted(PUBLISHED_MASKED - masks.keys())
        others = sorted(masks.keys() - PUBLISHED_MASKED)
        what = f"lacks masks of {_names(missing)}" if missing else (
            f"has masks of {_names(others)}, which were not published with it"
        )  # fmt: skip
        raise ValueError(
            f"list_clips: {folder} {what}; restore the published ten, and give others "
            "in a folder of their own (ped1_full, --masks-dir)."
        )
    return masks


def _all_masks(folder: Path, clips: int) -> dict[int, Path]:
    masks = _numbered_folders(folder, "Test", "_gt")
    missing = sorted(set(range(1, clips + 1)) - masks.keys())
    if missing:
        raise ValueError(
            f"list_clips: {folder} lacks masks of {_names(missing)}; it must hold a "
            "folder TestNNN_gt for every test clip."
        )
    return masks


def _masks_of(frames: Sequence[Path], folder: Path | None) -> tuple[Path, ...] | None:
    if folder is None:
        return None
    masks = _numbered_files(folder, _MASK, "mask")
    if len(masks) != len(frames):
        raise ValueError(
            f"list_clips: {folder} has {len(masks)} masks for {len(frames)} frames; "
            "each frame of a masked clip has one."
        )
    return masks


def _clip_folders(folder: Path, split: str) -> list[Path]:
    found = _numbered_folders(folder, split)
    missing = sorted(set(range(1, max(found) + 1)) - found.keys())
    if missing:
        raise ValueError(
            f"list_clips: {folder} has {split}{max(found):03}, but no "
            f"{split}{missing[0]:03}; clips are numbered without a gap."
        )
    return [found[number] for number in sorted(found)]


def _numbered_folders(folder: Path, prefix: str, suffix: str = "") -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    pattern = re.compile(rf"{prefix}(\d{{3}}){suffix}")
    matches = ((pattern.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in matches if match and path.is_dir()}


def _numbered_files(folder: Path, pattern: re.Pattern, what: str) -> tuple[Path, ...]:
    """The files that match, by number: 1, 2, 3 and so on, each once."""
    matches = [(pattern.fullmatch(path.name), path) for path in folder.iterdir()]
    found = sorted((int(match[1]), path) for match, path in matches if match)
    for expected, (number, path) in enumerate(found, 1):
        if number != expected:
            problem = (
                f"no {what} {expected}"
                if number > expected
                else f"{what} {number} twice"
            )
            raise ValueError(
                f"list_clips: {folder} has {problem} (next to {path.name}); "
                f"{what}s are numbered from 1 without a gap."
            )
    if not found:
        raise ValueError(f"list_clips: {folder} holds no {what}; unpack it again.")
    return tuple(path for _, path in found)


def _names(numbers: Sequence[int]) -> str:
    return ", ".join(f"Test{number:03}" for number in numbers)
