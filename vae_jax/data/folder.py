"""Anybody's images: those of a folder, of a pattern, or named one by one."""

import glob
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vae_jax.data import images
from vae_jax.data.opening import FORMATS

SUFFIXES = frozenset(
    (
        *(".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
        *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""By which a file in a folder is taken for an image, in capitals too."""
NAMES_SHOWN = 3


class Listing(NamedTuple):
    """What a folder holds, by names relative to it with / between folders, sorted."""

    images: tuple[str, ...]
    passed_over: tuple[str, ...]
    """Files that are not named as images, and folders that were not looked into, which
    end in /. What begins with a dot is in neither."""


class ImageFiles(NamedTuple):
    """Files to read, and the folder that their names are relative to."""

    root: Path
    names: tuple[str, ...]
    """Sorted, with / between folders."""
    passed_over: tuple[str, ...] = ()
    """What else lies in the folders that were given, see `Listing`."""


def has_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's; dot files are none.

    File managers write `._000.png` beside `000.png`.
    """
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def list_folder(folder: Path, *, recursive: bool = False) -> Listing:
    """The images of a folder by their names, and what was passed over.

    Links to folders are not followed.

    Raises:
        OSError: a folder cannot be listed.
    """
    images, passed_over = list[str](), list[str]()
    for parent, below, names in os.walk(folder, onerror=_refuse):
        seen = [name for name in below if not name.startswith(".")]
        entered = [name for name in seen if recursive and not _is_link(parent, name)]
        left = [f"{name}/" for name in seen if name not in entered]
        for name in (*names, *left):
            if name.startswith("."):
                continue
            relative = Path(parent, name).relative_to(folder).as_posix()
            if has_image_name(name) and name not in left:
                images.append(relative)
            else:
                passed_over.append(relative + "/" * (name in left))
        # Changed in place: this is how os.walk is told where to go.
        below[:] = entered
    return Listing(tuple(sorted(images)), tuple(sorted(passed_over)))


def describe_passed_over(names: Sequence[str]) -> str:
    """How many files and folders were passed over, and the first few by name."""
    folders = sum(name.endswith("/") for name in names)
    counts = [(len(names) - folders, "file"), (folders, "folder")]
    what = " and ".join(
        f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts if count
    )
    return f"{what} passed over: {first_few(names)}"


def first_few(names: Sequence[str]) -> str:
    """The first names, as they can be printed, and whether there are more."""
    more = ", ..." if len(names) > NAMES_SHOWN else ""
    return ", ".join(map(printable, names[:NAMES_SHOWN])) + more


def printable(name: str) -> str:
    """A file's name in UTF-8, with the bytes that are none as escapes."""
    return name.encode(errors="backslashreplace").decode()


def find_images(where: Sequence[str], *, recursive: bool = False) -> ImageFiles:
    """Finds images by folders, patterns and file names.

    Of a folder the files named like images are taken; what a pattern (`*`, `?`, `[]`,
    and `**` for any depth) matches, and a file that is named, is taken at its word.

    Args:
        where: folders, patterns and files; their common folder becomes the root.
        recursive: whether to look in the folders below a folder, too. Links to folders
            are not followed.

    Raises:
        ValueError: nothing of that name, or nowhere an image.
        OSError: a folder cannot be listed.
    """
    found, passed_over = set[Path](), set[Path]()
    roots = list[Path]()
    for each in where:
        root, paths, others = _look(each, recursive=recursive)
        roots.append(root)
        found.update(paths)
        passed_over.update(others)
    root = Path(os.path.commonpath(roots)) if roots else Path()
    # What another place names is not passed over.
    left = sorted(
        _relative(path, root) + "/" * path.is_dir()
        for path in passed_over - found
        if path not in roots
    )
    if not found:
        below = "" if recursive else ", or --recursive to look in folders below"
        beside = f" ({describe_passed_over(left)})" if left else ""
        raise ValueError(
            f"find_images: there is no image in {', '.join(where) or 'nothing'}"
            f"{beside}; give a folder with files named "
            f"{' '.join(sorted(SUFFIXES))}{below}."
        )
    names = sorted(_relative(path, root) for path in found)
    return ImageFiles(root, tuple(names), tuple(left))


def read_image(
    path: Path, *, channels: int, bits: int = 16
) -> UInt8[np.ndarray, "height width channel"]:
    """Reads and decodes one file, see `images.decode`.

    Raises:
        ValueError: the file is gone, cannot be read, or is no whole image; the message
            names it.
    """
    name = str(path)
    encoded = read_bytes("read_image", path, name=name)
    return images.decode(encoded, channels=channels, name=name, bits=bits)


def read_bytes(function: str, path: Path, *, name: str) -> bytes:
    """The bytes of a file, and of nothing else: a pipe would be waited for.

    Raises:
        ValueError: from `function`, if it is gone, cannot be read or is no file; the
            message names it by `name`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{function}: {printable(name)} is no file; remove it.")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{function}: {printable(name)} cannot be read ({error.strerror}); "
            "give it back, or the right to read it."
        ) from error


def is_colour(path: Path) -> bool:
    """Whether the header says so; False if it cannot be read."""
    try:
        if path.is_file():
            with Image.open(path, formats=FORMATS) as image:
                return images.channels_of(image) == 3
    except Exception:  # of any kind; who reads it whole says of which
        pass
    return False


def pixel_count(path: Path) -> int:
    """Height times width as the header says; 0 if it cannot be read."""
    try:
        if path.is_file():
            with Image.open(path, formats=FORMATS) as image:
                return image.height * image.width
    except Exception:  # of any kind; `read_image` says of which
        pass
    return 0


def _look(
    where: str, *, recursive: bool
) -> tuple[Path, Iterable[Path], Iterable[Path]]:
    """The root that `where` stands for, images, and what else is there; absolute."""
    path = Path(os.path.abspath(Path(where).expanduser()))
    if path.is_dir():
        listed = list_folder(path, recursive=recursive)
        images_there, others = ([path / name for name in names] for names in listed)
        return path, images_there, others
    if path.exists():
        return path.parent, [path], []
    if not glob.has_magic(where):
        raise ValueError(
            f"find_images: there is no {where}; give a folder, a file, or a pattern in "
            "quotes such as 'parts/*.png'."
        )
    fixed = next(up for up in path.parents if not glob.has_magic(str(up)))
    matches = map(Path, glob.glob(str(path), recursive=True))
    return fixed, [match for match in matches if not match.is_dir()], []


def _is_link(parent: str, name: str) -> bool:
    return os.path.islink(os.path.join(parent, name))


def _refuse(error: OSError) -> None:
    raise OSError(
        f"list_folder: cannot list {error.filename} ({error.strerror}); give the right "
        "to read it, or another folder."
    ) from error


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
