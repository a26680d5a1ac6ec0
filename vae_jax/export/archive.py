"""The zip archive of a detector: its parts, read in bounded memory and compared."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM, METADATA, CHECK = "program.bin", "metadata.json", "check.json"
WEIGHTS = "weights/"

MOST_UNPACKED = 20
"""Times the size of the archive. It is written without compression; packed again by
others it shrinks by far less."""
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of others a few bytes may stand for any number before it can be counted."""


def read_parts(path: str | Path) -> dict[str, bytes]:
    """Every file of the archive.

    Raises:
        ValueError: it is no whole archive, or unpacks to far more than its size.
        OSError: it is not there, or may not be read.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = [each for each in archive.infolist() if not each.is_dir()]
                _refuse_bomb(entries, size=os.fstat(file.fileno()).st_size)
                return {entry.filename: archive.read(entry) for entry in entries}
        # Damaged bytes make zipfile raise nearly anything.
        except Exception as error:
            raise damaged(path, " ".join(str(error).split())) from error


def check_digests(
    path: str | Path, parts: Mapping[str, bytes], digests: Mapping[str, Any]
) -> None:
    """Compares the program and all weights with their digests.

    Raises:
        ValueError: one differs, is missing, or has no digest; it is named.
    """
    exported = {name for name in parts if name == PROGRAM or name.startswith(WEIGHTS)}
    if missing := {PROGRAM, *exported} - digests.keys():
        raise damaged(path, f"{METADATA} has no SHA-256 of {min(missing)}")
    for name in digests:
        if hashlib.sha256(parts.get(name, b"")).hexdigest() != digests[name]:
            raise damaged(path, f"{name} is not what was exported")


def damaged(path: str | Path, reason: str) -> ValueError:
    """What to raise for a file that was not written so."""
    return ValueError(
        f"load_detector: {path} is no detector, or was damaged or cut short "
        f"({reason}); copy or export it again."
    )


def _refuse_bomb(entries: list[zipfile.ZipInfo], *, size: int) -> None:
    # zipfile unpacks no more of an entry than the size that the entry states.
    total = sum(entry.file_size for entry in entries)
    if total > MOST_UNPACKED * size:
        raise ValueError(
            f"{size} bytes would unpack to {total}, more than {MOST_UNPACKED} times"
        )
    if any(entry.compress_type not in _PLAIN for entry in entries):
        raise ValueError("it is compressed otherwise than by deflate")
    if len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("two of its files have one name")
