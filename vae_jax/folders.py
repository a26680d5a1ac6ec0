"""Folders that one process at a time writes to, and what to do where none can."""

import collections
import contextlib
import errno
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
"""The file in a folder that its process locks; without a process it locks nothing."""
_TAKEN = (errno.EAGAIN, errno.EACCES)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class InUseError(OSError):
    """Another process writes to the folder."""


_files: dict[Path, int] = {}
_users = collections.Counter[Path]()
_guard = threading.Lock()


@contextlib.contextmanager
def alone_in(folder: Path, *, name: str) -> Iterator[None]:
    """Within, no other process gets `folder`, which is made if missing.

    The kernel holds the lock and drops it when this process ends, however it ends; a
    child gets no part in it. Within this process the folder may be taken again. Over
    hosts it holds where the file system passes locks on, as NFS and Lustre do unless
    mounted without; where one knows no locks a warning is logged and there is none, and
    mounted buckets lock within each host alone.

    Args:
        folder: what to lock.
        name: of the folder in an error, such as "--workdir".

    Raises:
        InUseError: Another process has it; names that process.
        OSError: The folder cannot be written to.
    """
    path = folder.resolve() / LOCK
    with _guard:
        if path not in _files:
            _files[path] = _lock(_open(path, name=name), path, name=name)
        _users[path] += 1
    try:
        yield
    finally:
        with _guard:
            _users[path] -= 1
            if path in _files and not _users[path]:
                _unlock(_files.pop(path))


def is_taken(folder: Path) -> bool:
    """Whether a process is alone in `folder`, as far as its file system knows."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        _flock(file)
    except OSError as error:
        return error.errno in _TAKEN
    finally:
        os.close(file)
    return False


def remedy(error: OSError, *, other: str) -> str:
    """What to do about a folder that cannot be written to: `other`, or first make room.

    `other` is what to do where there is room, such as "give another --out".
    """
    return f"free some space, or {other}" if error.errno in _FULL else other


def _open(path: Path, *, name: str) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{name}: cannot write to {path.parent} ({error.strerror}); "
            f"{remedy(error, other='give another folder')}.",
        ) from error


def _lock(file: int, path: Path, *, name: str) -> int:
    """Locks the file and writes into it who did, for those who come too late."""
    try:
        _flock(file)
    except OSError as error:
        if error.errno in _TAKEN:
            holder = os.pread(file, 1000, 0).decode(errors="replace")
            os.close(file)
            raise InUseError(
                f"{name}: {path.parent} must be used by one process at a time, and is "
                f"by {holder or 'another one'}; wait for it, end it, or give another "
                "folder."
            ) from error
        logging.getLogger(__name__).warning(
            "%s: %s cannot be locked (%s); see that no other process writes there",
            name,
            path.parent,
            error.strerror,
        )
        return file
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
    with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
        os.ftruncate(file, 0)
        os.pwrite(file, holder.encode(), 0)
    return file


def _flock(file: int) -> None:
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(file: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
    os.close(file)


def _forget() -> None:
    """In a forked child: what it inherits would keep the lock beyond the parent."""
    global _guard
    _guard = threading.Lock()
    while _files:
        os.close(_files.popitem()[1])
    _users.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
