"""Threads to decode in, what is told of them, and folders that appear whole.

Nothing here knows of images.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from vae_jax import folders

STALE_AFTER_SECONDS = 3600
"""Of an unfinished folder in which nobody is at work, since something was written. For
one that has just been made, and where the file system knows no locks."""
MOST_THREADS = 8
"""Each holds an image at its full size."""

MOST_TOLD = 100
"""Of things that are wrong; the others are counted."""

Progress = Callable[[int, int], None]
"""Called as (done, total)."""


Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_count() -> int:
    """Threads for work on images: one for each core that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # fewer than the machine's in a container
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(MOST_THREADS, cores)


def in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    done: Callable[[], None] = lambda: None,
) -> list[Result]:
    """`function` of each item, in order; `done` is called after each."""
    results = []
    with ThreadPoolExecutor(thread_count()) as pool:
        for result in pool.map(function, items):
            results.append(result)
            done()
    return results


def all_or_told(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    who: str,
    done: Callable[[], None] = lambda: None,
) -> list[Result]:
    """`in_threads`, but of what cannot be done all is told and not the first alone.

    Raises:
        ValueError: what `function` raised; if for several items, from `who` in one
            line, without what each says is to be done.
    """

    def attempt(item: Item) -> tuple[list[Result], ValueError | None]:
        try:
            return [function(item)], None
        except ValueError as error:
            return [], error

    attempts = in_threads(attempt, items, done=done)
    errors = [error for _, error in attempts if error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        told = "; ".join(map(_complaint, errors[:MOST_TOLD]))
        more = f"; and {len(errors) - MOST_TOLD} more" * (len(errors) > MOST_TOLD)
        raise ValueError(
            f"{who}: {len(errors)} of {len(attempts)} cannot be used: {told}{more}. "
            "Repair or remove them."
        )
    return [result for results, _ in attempts for result in results]


def _complaint(error: ValueError) -> str:
    """Of "who: what is wrong; what to do." the middle."""
    wrong = str(error).partition(": ")[2]
    return wrong.rpartition("; ")[0] or wrong


@contextlib.contextmanager
def unfinished_folder(name: str, *, beside: Path) -> Iterator[Path]:
    """A folder next to `beside`, to fill and to move away from; removed in the end.

    Those of the same `name` that killed processes left are cleared; one in which a
    process is at work is not, however long it takes.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{name}-unfinished-"
    for left in beside.parent.iterdir():
        if left.name.startswith(prefix) and _is_stale(left):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=beside.parent) as made:
        scratch = Path(made)
        with folders.alone_in(scratch, name=name):
            yield scratch


def _is_stale(folder: Path) -> bool:
    try:
        written = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:  # another process is clearing it, or writing there
        return False
    is_old = time.time() - written > STALE_AFTER_SECONDS
    return is_old and not folders.is_taken(folder)


class Tally:
    """Turns "one more is done" into (done, total)."""

    def __init__(self, progress: Progress | None, *, total: int):
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self) -> None:
        """One more is done."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
