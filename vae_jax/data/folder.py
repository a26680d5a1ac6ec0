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
from vae_jax.data.listing import SUFFIXES, counted, first_few, walk
from vae_jax.data.opening import FORMATS
from vae_jax.spelling import printable


class PassedOver(NamedTuple):
    """What lies where images were looked for, and is not among them.

    Names are sorted and below the root.
    """

    files: tuple[str, ...] = ()
    """Not named like images."""
    folders: tuple[str, ...] = ()
    """Not looked into: those below; with `recursive`, hidden ones and links."""
    places: tuple[str, ...] = ()
    """Folders and patterns, as they were given, that hold no image."""

    def describe(self) -> str:
        """How much, and the first names; empty if it is nothing."""
        parts = []
        if self.files:
            files = counted(len(self.files), "file")
            parts.append(f"{files} not named like images ({first_few(self.files)})")
        if self.folders:
            folders = counted(len(self.folders), "folder")
            parts.append(
                f"{folders} not looked into ({first_few(self.folders)}; --recursive "
                "looks into those that are neither hidden nor links)"
            )
        if self.places:
            parts.append(f"no image in {', '.join(self.places)}")
        return ", ".join(parts)


class ImageFiles(NamedTuple):
    """Files to read, and the folder that their names are relative to."""

    root: Path
    names: tuple[str, ...]
    """Sorted, with / between folders."""
    passed_over: PassedOver = PassedOver()


class _Look(NamedTuple):
    """What one place holds; all absolute."""

    root: Path
    images: list[Path]
    files: list[Path]
    folders: list[Path]


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
    looks = [_look(each, recursive=recursive) for each in where]
    found = {path for look in looks for path in look.images}
    root = Path(os.path.commonpath([look.root for look in looks])) if looks else Path()
    passed_over = _passed_over(where, looks, root)
    if not found:
        below = "" if recursive else ", or --recursive to look in folders below"
        beside = passed_over._replace(places=()).describe()
        raise ValueError(
            f"find_images: there is no image in {', '.join(where) or 'nothing'}"
            f"{beside and f' ({beside})'}; give a folder with files named "
            f"{' '.join(sorted(SUFFIXES))}{below}."
        )
    return ImageFiles(root, _names(found, root), passed_over)


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


def _look(where: str, *, recursive: bool) -> _Look:
    path = Path(os.path.abspath(Path(where).expanduser()))
    if path.is_dir():
        return _Look(path, *walk(path, recursive=recursive))
    if path.exists():
        return _Look(path.parent, [path], [], [])
    if not glob.has_magic(where):
        raise ValueError(
            f"find_images: there is no {where}; give a folder, a file, or a pattern in "
            "quotes such as 'parts/*.png'."
        )
    look = _Look(
        next(up for up in path.parents if not glob.has_magic(str(up))), [], [], []
    )
    for match in map(Path, glob.glob(str(path), recursive=True)):
        (look.folders if match.is_dir() else look.images).append(match)
    return look


def _passed_over(
    where: Sequence[str], looks: Sequence[_Look], root: Path
) -> PassedOver:
    """What no place has given although it lies in one."""
    found = {path for look in looks for path in look.images}
    entered = {up for path in found for up in path.parents}
    return PassedOver(
        _names({path for look in looks for path in look.files} - found, root),
        _names({path for look in looks for path in look.folders} - entered, root),
        tuple(each for each, look in zip(where, looks, strict=True) if not look.images),
    )


def _names(paths: Iterable[Path], root: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(root).as_posix() for path in paths))
