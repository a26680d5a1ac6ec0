"""Notices that the run is asked to stop: by SIGTERM, Ctrl-C, or its scheduler."""

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

_questions = itertools.count()
"""Numbers what is asked of `jax.distributed`: it answers at an agreed number, so none
may be left out, and over all runs of this process none may come twice."""

_watches: list[None] = []
"""One for each run that notices by itself that it is asked to stop."""


class Interrupted(SystemExit):
    """The run was asked to stop and has saved its state; exit code 128 + signal."""

    def __init__(self, received: signal.Signals, step: int):
        super().__init__(128 + received)
        self.received, self.step = received, step

    def __str__(self) -> str:
        return f"stopped by {self.received.name} after step {self.step}, which is saved"


def is_watching() -> bool:
    """Whether a run is under way that answers a signal, by saving and stopping."""
    return bool(_watches)


@contextlib.contextmanager
def watch_for_interruption() -> Iterator[Callable[[], signal.Signals | None]]:
    """Yields `interrupted()`: the signal to stop for, None to go on.

    With `jax.distributed` all processes must ask equally often, at the same steps; a
    SIGTERM to any of them is then answered by all at one step. A second signal acts as
    without this.
    """
    _watches.append(None)
    try:
        with _watch() as interrupted:
            yield interrupted
    finally:
        _watches.pop()


@contextlib.contextmanager
def _watch() -> Iterator[Callable[[], signal.Signals | None]]:
    if jax.distributed.is_initialized():
        # jax has its own handler there; one in Python would take its place.
        yield (
            lambda: (
                signal.SIGTERM
                if multihost_utils.reached_preemption_sync_point(next(_questions))
                else None
            )
        )
        return
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # only the main thread may handle signals
        return
    received: list[signal.Signals] = []
    handlers = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}
    # None is a handler that Python did not set and could not put back: it stays.
    before = {s: handler for s, handler in handlers.items() if handler is not None}

    def note(number, frame):
        received.append(signal.Signals(number))
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
