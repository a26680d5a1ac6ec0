"""What a disk that fails, is full or may not be written to says in one line."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from vae_jax.train.sharding import is_primary


def check_writable(folder: Path) -> None:
    """Raises OSError where the first process cannot make or write to the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_primary():
            probe = folder / ".writable"
            probe.write_text("")
            probe.unlink()
    except OSError as error:
        raise OSError(
            error.errno,
            f"Checkpoints: cannot write to workdir {folder} ({error.strerror}); "
            "choose another folder.",
        ) from error


@contextlib.contextmanager
def one_line_disk_errors(workdir: Path) -> Iterator[None]:
    """Turns what the writers below Orbax make of a full disk into one OSError."""
    try:
        yield
    except Exception as error:
        found = re.search(
            r"No space left on device|Disk quota exceeded|File too large"
            r"|Read-only file system|Permission denied|Input/output error",
            str(error),
        )
        if found is None and not isinstance(error, OSError):
            raise
        reason = found[0] if found else first_line(error)
        raise OSError(
            getattr(error, "errno", None) or errno.EIO,
            f"Checkpoints: could not save to {workdir} ({reason}). "
            "The last complete checkpoint is untouched.",
        ) from error


def first_line(error: Exception) -> str:
    """What the error says, or how it is written, up to its first end of line."""
    return (str(error).strip() or repr(error)).splitlines()[0]
