"""The files of a category: the layout of MVTec AD, or anybody's normal images.

As published, <root> is given and holds one or several categories:

<root>/<category>/train/good/000.png
<root>/<category>/test/{good,<defect>}/000.png               may be missing
<root>/<category>/ground_truth/<defect>/000_mask.png

Or <folder> is given and is itself the only category, named after it: with train/good
as above, or with normal images alone, in <folder>/good or in <folder>. In what order
these are looked for is said at `locate`. No image is decoded here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from vae_jax.data.listing import first_few, has_image_name, list_folder
from vae_jax.spelling import did_you_mean

GOOD = "good"
PUBLISHED_ROOT = "mvtec_anomaly_detection"

_TRAIN = f"train/{GOOD}"
_PARTS = frozenset({"train", "test", "ground_truth", GOOD})
"""Names of folders inside a category: none of them is a category."""

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
    unmasked: tuple[str, ...] = ()
    """Defect images to which no mask belongs."""
    skipped_masks: tuple[str, ...] = ()
    """Masks left out because no image belongs to them."""
    is_as_published: bool = True
    """False for a folder of normal images alone."""
    passed_over: tuple[str, ...] = ()
    """Files below the category that are not named as images, and folders that no image
    was looked for in, which end in /."""

    @property
    def files(self) -> dict[str, Path]:
        """Every image and mask, by its path below the category."""
        return {
            path: self.folder / path
            for entry in (*self.train, *self.test)
            for path in (entry.image, entry.mask)
            if path is not None
        }


class Category(NamedTuple):
    """Where a category lies, and below it, relative, its normal images to train on."""

    folder: Path
    train: str

    @property
    def is_as_published(self) -> bool:
        """Whether the folder is laid out as MVTec AD is."""
        return self.train == _TRAIN


def locate(data_dir: str | Path) -> dict[str, Category]:
    """Finds the categories of a folder, by name.

    What is found first decides:
    1. train/good below the folder: it is a category as published.
    2. Folders in it, or in its mvtec_anomaly_detection, with train/good or good below:
       each is a category.
    3. good: the folder is a category of normal images, which lie in good.
    4. Images in the folder: it is a category of normal images, which are these.

    Raises:
        ValueError: no such folder, none of these, or 3 beside 2, 4 or another folder of
            images, where it is not plain what was meant.
    """
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"find_categories: there is no folder {root}; give the folder that holds "
            "the categories, each with train/good, or a folder of normal images."
        )
    name = root.resolve().name
    if (root / _TRAIN).is_dir():
        return {name: Category(root, _TRAIN)}
    in_good = (root / GOOD).is_dir()
    children = _categories_in(root) or _categories_in(root / PUBLISHED_ROOT)
    if in_good:
        _refuse_beside_good(root, children)
        return {name: Category(root, GOOD)}
    if children:
        return children
    if _image_names(root):
        return {name: Category(root, ".")}
    raise ValueError(
        f"find_categories: {root} holds no category, that is no folder with "
        "train/good, no folder good, and no image; give the folder of MVTec AD, "
        "or one of normal images."
    )


def find_categories(data_dir: str | Path) -> list[str]:
    """Returns the names of the categories of `data_dir`, sorted, see `locate`.

    Raises:
        ValueError: the folder is missing, holds no category, or is not plain.
    """
    return sorted(locate(data_dir))


def list_category(
    data_dir: str | Path, category: str, *, missing_masks: MissingMasks = "error"
) -> CategoryFiles:
    """Lists a category and pairs each defect image with its mask by defect and stem.

    Args:
        data_dir: the folder that holds the category folders, or is the only one.
        category: one of `find_categories(data_dir)`.
        missing_masks: a defect image without a mask and a mask without an image: refuse
            the category, or take the image, leave out the mask, and count both.

    Raises:
        ValueError: unknown category, a folder of training or test images without any,
            or files that do not pair.
    """
    found = locate(data_dir)
    if category not in found:
        raise ValueError(
            f"list_category: unknown category {category!r}"
            f"{did_you_mean(category, found)} Found: {', '.join(sorted(found))}."
        )
    folder, below = found[category].folder, Path(found[category].train)
    names = _image_names(folder / below)
    if not names:
        raise ValueError(
            f"list_category: {folder / below} holds no image; "
            "put the normal images to train on there."
        )
    train = tuple(Entry((below / name).as_posix(), None, GOOD) for name in names)
    passed_over = _passed_over(found[category])
    if not found[category].is_as_published:
        return CategoryFiles(
            folder, train, (), is_as_published=False, passed_over=passed_over
        )
    images = _image_names_by_defect(folder / "test")
    if not images and (folder / "test").is_dir():
        raise ValueError(
            f"list_category: {folder / 'test'} holds no image; put test images in "
            "test/good and in a folder for each defect, or remove test."
        )
    masks = _image_names_by_defect(folder / "ground_truth")
    masks.pop(GOOD, None)
    test, without_mask, without_image = _pair(images, masks)
    if missing_masks == "error":
        _refuse_unpaired(folder, without_mask, without_image)
    return CategoryFiles(
        folder, train, test, without_mask, without_image, passed_over=passed_over
    )


def is_training_image(path: str) -> bool:
    """Tells a category's training images from its test images and masks, by path."""
    return not path.startswith(("test/", "ground_truth/"))


def _pair(
    images: Mapping[str, Sequence[str]], masks: Mapping[str, Sequence[str]]
) -> tuple[tuple[Entry, ...], tuple[str, ...], tuple[str, ...]]:
    mask_of: dict[tuple[str, str], str] = {}
    for defect, names in masks.items():
        for name in names:
            stem = Path(name).stem.removesuffix("_mask")
            path = f"ground_truth/{defect}/{name}"
            if (other := mask_of.setdefault((defect, stem), path)) != path:
                raise ValueError(
                    f"list_category: {other} and {path} are both the mask of "
                    f"test/{defect}/{stem}; remove one."
                )
    paired, without_mask = [], []
    for defect, names in images.items():
        for name in names:
            path = f"test/{defect}/{name}"
            mask = mask_of.pop((defect, Path(name).stem), None)
            if mask is None and defect != GOOD:
                without_mask.append(path)
            paired.append(Entry(path, mask, defect))
    return tuple(paired), tuple(without_mask), tuple(mask_of.values())


def _refuse_unpaired(
    folder: Path, without_mask: Sequence[str], without_image: Sequence[str]
) -> None:
    problems = [
        f"{len(paths)} {what} ({first_few(paths)})"
        for what, paths in (
            ("defect images without a mask", without_mask),
            ("masks without an image", without_image),
        )
        if paths
    ]
    if problems:
        raise ValueError(
            f"list_category: {folder} has {' and '.join(problems)}; a mask is "
            "ground_truth/<defect>/<stem>_mask.png. Add the files, or go without "
            "them with missing_masks='skip' (--missing-masks skip)."
        )


def _passed_over(category: Category) -> tuple[str, ...]:
    """All but dot files where images are looked for, and folders and images beside."""
    looked_in, above = {category.train}, [] if category.train == "." else ["."]
    if category.is_as_published:
        parts = ("train", "test", "ground_truth")
        above += [part for part in parts if (category.folder / part).is_dir()]
        looked_in |= {
            f"{part}/{kind}"
            for part in above[1:]
            if part != "train"
            for kind in _folder_names(category.folder / part)
        }
    left = [
        (Path(below) / name).as_posix() + "/" * name.endswith("/")
        for below in looked_in
        for name in list_folder(category.folder / below).passed_over
    ]
    for below in above:
        listed = list_folder(category.folder / below)
        for name in (*listed.images, *listed.passed_over):
            path = (Path(below) / name).as_posix()
            is_note = below == "." and not (has_image_name(name) or name[-1] == "/")
            if not (path in looked_in or path in above or is_note):
                left.append(path + "/" * name.endswith("/"))
    return tuple(sorted(left))


def _categories_in(root: Path) -> dict[str, Category]:
    if not root.is_dir():
        return {}
    found = {}
    for folder in root.iterdir():
        if folder.name.startswith(".") or folder.name in _PARTS:
            continue
        for train in (_TRAIN, GOOD):
            if (folder / train).is_dir():
                found.setdefault(folder.name, Category(folder, train))
    return found


def _refuse_beside_good(root: Path, children: Mapping[str, Category]) -> None:
    """An inspector's defects, beside good, must not be left out without a word."""
    beside = sorted(
        folder.name
        for folder in root.iterdir()
        if folder.name in children or (folder.name != GOOD and _image_names(folder))
    )
    if loose := _image_names(root):
        beside.append(f"{len(loose)} images")
    if beside:
        raise ValueError(
            f"find_categories: {root} holds {GOOD} and beside it "
            f"{first_few(beside)}; give {root / GOOD} to train on it alone, or move "
            f"it to {_TRAIN} and the others to test/<defect>."
        )


def _image_names(folder: Path) -> list[str]:
    return list(list_folder(folder).images) if folder.is_dir() else []


def _folder_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(
        below.name
        for below in folder.iterdir()
        if below.is_dir() and not below.name.startswith(".")
    )


def _image_names_by_defect(folder: Path) -> dict[str, list[str]]:
    names = {defect: _image_names(folder / defect) for defect in _folder_names(folder)}
    return {defect: found for defect, found in names.items() if found}
