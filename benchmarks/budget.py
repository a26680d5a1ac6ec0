"""Runs named sections one after the other within a time; one that fails stops none."""

import contextlib
import gc
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

Figures = dict[str, Any]


class Section(NamedTuple):
    """A part of a benchmark, named in the result whatever becomes of it."""

    name: str
    run: Callable[[], Figures]
    needs: float
    """Seconds that must be left for it to begin."""


class OutOfTime(BaseException):
    """The section was stopped; no `Exception`, which code on the way might catch."""


def measure(
    sections: Sequence[Section],
    *,
    seconds: float,
    observe: Callable[[], Figures] = dict,
    after_each: Callable[[Figures], Any] = lambda found: None,
    clock: Callable[[], float] = time.monotonic,
) -> Figures:
    """{"sections": figures by name, "failed": the same, "left_out": names}.

    Each has what it `took_seconds`, compilation included, and what `observe` tells at
    its end. A section that raises is among the failed, with its "reason", and the next
    one begins; one for which too little time is left is left out. At the end of the
    time, or at a SIGTERM before it, the section under way is stopped, see `time_limit`,
    and no other begins. `after_each` is given the result so far, to keep it.
    """
    end = clock() + seconds
    waiting = [section.name for section in sections]
    found: Figures = {"sections": {}, "failed": {}, "left_out": waiting}
    for section in sections:
        start = clock()
        if end - start < section.needs:
            continue
        waiting.remove(section.name)
        print(f"{section.name}: {end - start:.0f} s left", file=sys.stderr, flush=True)
        kind, figures, stopped = "failed", {}, False
        try:
            with time_limit(end - start):
                figures = section.run()
            kind = "sections"
        except OutOfTime:
            figures, stopped = {"reason": "stopped: out of time"}, True
        except Exception as error:
            figures = {"reason": _reason(error)}
        gc.collect()  # what a failed section held on the device
        about = {"took_seconds": clock() - start, **observe()}
        found[kind][section.name] = about | figures
        after_each(found)
        if stopped:
            break
    return found


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Sends this process SIGTERM after so many seconds.

    What then runs ends by `OutOfTime`, but for training with checkpoints, which ends as
    a scheduler ends it: it saves its state and raises `train.Interrupted`. Compilation,
    and other calls that do not return to Python, are waited for. For the main thread.
    """

    def stop(number, frame):
        raise OutOfTime

    before = signal.signal(signal.SIGTERM, stop)
    this = threading.get_ident()
    timer = threading.Timer(seconds, signal.pthread_kill, (this, signal.SIGTERM))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        signal.signal(signal.SIGTERM, before)


def _reason(error: Exception) -> str:
    """The error in one line: XLA's, of memory, go on for pages."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]
