"""The files of a folder as they were written, so that damage is noticed."""

import hashlib
import json
from pathlib import Path

NAME = "digests.json"
"""The file beside them that holds the SHA-256 of each, by its path."""
_LATER = ("_CHECKPOINT_METADATA", "commit_success.txt")
"""To what Orbax still writes when all else is done: times, which nobody reads."""


def write_digests(folder: Path) -> None:
    """Notes what every file in and below `folder` holds.

    Raises:
        OSError: A file cannot be read, or the digests cannot be written.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    digests = {
        path.relative_to(folder).as_posix(): _sha256(path)
        for path in files
        if not (path.parent == folder and path.name in _LATER)
    }
    (folder / NAME).write_text(json.dumps({"sha256": digests}, indent=1))


def find_damage(folder: Path) -> str | None:
    """What is not as it was noted, such as "state/a is missing"; None if all is."""
    name = NAME
    try:
        for name, digest in json.loads((folder / NAME).read_bytes())["sha256"].items():
            if _sha256(folder / name) != digest:
                return f"{name} holds other bytes than were written"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{NAME} holds other bytes than were written"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
