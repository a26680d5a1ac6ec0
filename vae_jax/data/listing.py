"""What a folder holds: images by the names of files, and all else."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vae_jax.spelling import printable

SUFFIXES = frozenset(
    (
        *(".apng", ".bmp", ".dib", ".gif", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc"),
        *(".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".pbm", ".pgm", ".png", ".pnm"),
        *(".ppm", ".tif", ".tiff", ".webp"),
    )
)
"""By which a file in a folder is taken for an image, in capitals too."""

_NAMES_SHOWN = 3


class Listing(NamedTuple):
    """What a folder holds, by names relative to it with / between folders, sorted."""

    images: tuple[str, ...]
    passed_over: tuple[str, ...]
    """Files that are not named as images, and folders that were not looked into, which
    end in /. What begins with a dot is in neither."""


class Walked(NamedTuple):
    """All that a folder holds, hidden or not."""

    images: list[Path]
    files: list[Path]
    """Not named like images."""
    folders: list[Path]
    """Not looked into."""


def has_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's; dot files are none.

    File managers write `._000.png` beside `000.png`.
    """
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def walk(folder: Path, *, recursive: bool) -> Walked:
    """Everything in a folder and, with `recursive`, below.

    Hidden folders, and links to folders, are not looked into.

    Raises:
        OSError: a folder cannot be listed.
    """
    found = Walked([], [], [])
    for parent, below, names in os.walk(folder, onerror=_refuse):
        for name in names:
            kind = found.images if has_image_name(name) else found.files
            kind.append(Path(parent, name))
        entered = []
        for name in below:
            path = Path(parent, name)
            if recursive and not name.startswith(".") and not path.is_symlink():
                entered.append(name)
            else:
                found.folders.append(path)
        below[:] = entered  # in place: this is how os.walk is told where to go
    return found


def list_folder(folder: Path, *, recursive: bool = False) -> Listing:
    """The images of a folder by their names, and what was passed over.

    Arguments and errors are those of `walk`.
    """
    found = walk(folder, recursive=recursive)

    def relative(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    beside = [relative(path) for path in found.files if path.name[0] != "."]
    beside += [f"{relative(path)}/" for path in found.folders if path.name[0] != "."]
    return Listing(tuple(sorted(map(relative, found.images))), tuple(sorted(beside)))


def describe_passed_over(names: Sequence[str]) -> str:
    """How many files and folders were passed over, and the first few by name."""
    folders = [name for name in names if name.endswith("/")]
    kinds = {"file": len(names) - len(folders), "folder": len(folders)}
    what = " and ".join(counted(n, noun) for noun, n in kinds.items() if n)
    return f"{what} passed over: {first_few(names)}"


def first_few(names: Sequence[str]) -> str:
    """The first names, as they can be printed, and whether there are more.

    Those that are hidden come last: they seldom matter.
    """
    ordered = sorted(names, key=lambda name: Path(name).name.startswith("."))
    more = ", ..." if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(printable, ordered[:_NAMES_SHOWN])) + more


def counted(number: int, noun: str) -> str:
    """A number of things: 1 file, 2 files."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _refuse(error: OSError) -> None:
    raise OSError(
        f"list_folder: cannot list {error.filename} ({error.strerror}); give the right "
        "to read it, or another folder."
    ) from error
