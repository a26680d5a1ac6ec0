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
        *(".bmp", ".gif", ".j2k", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"),
        *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""By which a file in a folder is taken for an image, in capitals too."""


class ImageFiles(NamedTuple):
    """Files to read, and the folder that their names are relative to."""

    root: Path
    names: tuple[str, ...]
    """Sorted, with / between folders."""


def has_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's; dot files are none.

    File managers write `._000.png` beside `000.png`.
    """
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


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
    found = set[Path]()
    roots = list[Path]()
    for each in where:
        root, paths = _look(each, recursive=recursive)
        roots.append(root)
        found.update(paths)
    if not found:
        below = "" if recursive else ", or --recursive to look in folders below"
        raise ValueError(
            f"find_images: there is no image in {', '.join(where) or 'nothing'}; give "
            f"a folder with files named {' '.join(sorted(SUFFIXES))}{below}."
        )
    root = Path(os.path.commonpath(roots))
    return ImageFiles(root, tuple(sorted(_relative(path, root) for path in found)))


def read_image(
    path: Path, *, channels: int, bits: int = 16
) -> UInt8[np.ndarray, "height width channel"]:
    """Reads and decodes one file, see `images.decode`.

    Raises:
        ValueError: the file is gone, cannot be read, or is no whole image; the message
            names it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise ValueError(f"read_image: {path} is no file; remove it.")
        encoded = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"read_image: {path} cannot be read ({error.strerror}); "
            "give it back, or the right to read it."
        ) from error
    return images.decode(encoded, channels=channels, name=str(path), bits=bits)


def pixel_count(path: Path) -> int:
    """Height times width as the header says; 0 if it cannot be read."""
    try:
        if path.is_file():
            with Image.open(path, formats=FORMATS) as image:
                return image.height * image.width
    except Exception:  # of any kind; `read_image` says of which
        pass
    return 0


def _look(where: str, *, recursive: bool) -> tuple[Path, Iterable[Path]]:
    """The root that `where` stands for, and what is found there; both absolute."""
    path = Path(os.path.abspath(Path(where).expanduser()))
    if path.is_dir():
        return path, list(_walk(path, recursive=recursive))
    if path.exists():
        return path.parent, [path]
    if not glob.has_magic(where):
        raise ValueError(
            f"find_images: there is no {where}; give a folder, a file, or a pattern in "
            "quotes such as 'parts/*.png'."
        )
    fixed = next(up for up in path.parents if not glob.has_magic(str(up)))
    matches = map(Path, glob.glob(str(path), recursive=True))
    return fixed, [match for match in matches if not match.is_dir()]


def _walk(folder: Path, *, recursive: bool) -> Iterable[Path]:
    for parent, below, names in os.walk(folder, onerror=_refuse):
        yield from (Path(parent, name) for name in names if has_image_name(name))
        # Changed in place: this is how os.walk is told where to go.
        below[:] = [name for name in below if recursive and not name.startswith(".")]


def _refuse(error: OSError) -> None:
    raise OSError(
        f"find_images: cannot list {error.filename} ({error.strerror}); give the right "
        "to read it, or another folder."
    ) from error


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
