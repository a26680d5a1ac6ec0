"""The folder layout in which MVTec AD is published, read without decoding an image.

<root>/<category>/train/good/000.png
<root>/<category>/test/{good,<defect>}/000.png
<root>/<category>/ground_truth/<defect>/000_mask.png
"""

import dataclasses
import difflib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

GOOD = "good"
PUBLISHED_ROOT = "mvtec_anomaly_detection"
NAMES_SHOWN = 3

MissingMasks = Literal["error", "skip"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One image; `mask` is None for a normal one. Paths are below the category."""

    image: str
    mask: str | None
    defect: str


@dataclasses.dataclass(frozen=True)
class CategoryFiles:
    """The files of one category, in a fixed order."""

    folder: Path
    train: tuple[Entry, ...]
    test: tuple[Entry, ...]
    skipped_images: tuple[str, ...] = ()
    """Defect images left out because no mask belongs to them."""
    skipped_masks: tuple[str, ...] = ()
    """Masks left out because no image belongs to them."""

    def fingerprint(self) -> str:
        """Changes whenever a file is added, removed, resized or touched."""
        digest = hashlib.sha256()
        for entry in (*self.train, *self.test):
            for path in filter(None, (entry.image, entry.mask)):
                stat = (self.folder / path).stat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def find_root(data_dir: str | Path) -> Path:
    """Returns the folder that holds the categories: `data_dir` or one below it.

    Raises:
        ValueError: the folder is missing or holds no category.
    """
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"find_categories: there is no folder {root}; give the folder that holds "
            "the categories, each with train/good."
        )
    if _is_category(root):
        raise ValueError(
            f"find_categories: {root} is itself a category; give the folder above it "
            f"({root.resolve().parent}) and the category {root.resolve().name!r}."
        )
    for candidate in (root, root / PUBLISHED_ROOT):
        if candidate.is_dir() and any(map(_is_category, candidate.iterdir())):
            return candidate
    raise ValueError(
        f"find_categories: {root} holds no category, that is no folder with "
        "train/good; unpack MVTec AD there or give another folder."
    )


def find_categories(data_dir: str | Path) -> list[str]:
    """Returns the names of the category folders below `data_dir`, sorted.

    Raises:
        ValueError: the folder is missing or holds no category.
    """
    folders = find_root(data_dir).iterdir()
    return sorted(folder.name for folder in folders if _is_category(folder))


def list_category(
    data_dir: str | Path, category: str, *, missing_masks: MissingMasks = "error"
) -> CategoryFiles:
    """Lists a category and pairs each defect image with its mask by defect and stem.

    Args:
        data_dir: the folder that holds the category folders.
        category: the name of one of them.
        missing_masks: what to do with a defect image without a mask and with a mask
            without an image: refuse the category, or leave both out and count them.

    Raises:
        ValueError: unknown category, empty train/good or test, or files that do not
            pair.
    """
    found = find_categories(data_dir)
    if category not in found:
        near = difflib.get_close_matches(category, found, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"list_category: unknown category {category!r}; {hint}"
            f"Found: {', '.join(found)}."
        )
    folder = find_root(data_dir) / category
    train = tuple(
        Entry(f"train/{GOOD}/{name}", None, GOOD)
        for name in _png_names(folder / "train" / GOOD)
    )
    if not train:
        raise ValueError(
            f"list_category: {folder / 'train' / GOOD} holds no PNG image; "
            "put the normal images to train on there."
        )
    images = _png_names_by_defect(folder / "test")
    if not images:
        raise ValueError(
            f"list_category: {folder / 'test'} holds no PNG image; put test images in "
            "test/good and in a folder for each defect."
        )
    masks = _png_names_by_defect(folder / "ground_truth")
    masks.pop(GOOD, None)
    test, without_mask, without_image = _pair(images, masks)
    if missing_masks == "error":
        _refuse_unpaired(folder, without_mask, without_image)
    return CategoryFiles(folder, train, test, without_mask, without_image)


def require_both_classes(defects: Sequence[str], *, category: str) -> None:
    """Refuses a test split of one class, on which no ranking metric is defined.

    Raises:
        ValueError: says which class is missing.
    """
    classes = {defect == GOOD for defect in defects}
    if classes == {True, False}:
        return
    missing = "defect images" if True in classes else "good images"
    raise ValueError(
        f"require_both_classes: the test split of {category} has no {missing}; "
        f"metrics need both classes, add {missing} below test/."
    )


def _pair(
    images: Mapping[str, Sequence[str]], masks: Mapping[str, Sequence[str]]
) -> tuple[tuple[Entry, ...], tuple[str, ...], tuple[str, ...]]:
    mask_of = {
        (defect, Path(name).stem.removesuffix("_mask")): f"ground_truth/{defect}/{name}"
        for defect, names in masks.items()
        for name in names
    }
    paired, without_mask = [], []
    for defect, names in images.items():
        for name in names:
            path = f"test/{defect}/{name}"
            mask = mask_of.pop((defect, Path(name).stem), None)
            if mask is None and defect != GOOD:
                without_mask.append(path)
            else:
                paired.append(Entry(path, mask, defect))
    return tuple(paired), tuple(without_mask), tuple(mask_of.values())


def _refuse_unpaired(
    folder: Path, without_mask: Sequence[str], without_image: Sequence[str]
) -> None:
    problems = [
        f"{len(paths)} {what} ({_first_few(paths)})"
        for what, paths in (
            ("defect images without a mask", without_mask),
            ("masks without an image", without_image),
        )
        if paths
    ]
    if problems:
        raise ValueError(
            f"list_category: {folder} has {' and '.join(problems)}; a mask is "
            "ground_truth/<defect>/<stem>_mask.png. Add the files, or leave these out "
            "with missing_masks='skip' (--missing-masks skip)."
        )


def _first_few(paths: Sequence[str]) -> str:
    more = ", ..." if len(paths) > NAMES_SHOWN else ""
    return ", ".join(paths[:NAMES_SHOWN]) + more


def _is_category(folder: Path) -> bool:
    return not folder.name.startswith(".") and (folder / "train" / GOOD).is_dir()


def _png_names(folder: Path) -> list[str]:
    """Dot files are left out: file managers write `._000.png` beside `000.png`."""
    if not folder.is_dir():
        return []
    return sorted(
        file.name
        for file in folder.iterdir()
        if file.suffix.lower() == ".png" and not file.name.startswith(".")
    )


def _png_names_by_defect(folder: Path) -> dict[str, list[str]]:
    if not folder.is_dir():
        return {}
    names = {defect.name: _png_names(defect) for defect in sorted(folder.iterdir())}
    return {defect: found for defect, found in names.items() if found}
