"""Ctrl-C and SIGTERM: a line and status 130 or 143, whatever a command is at."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from types import FrameType

_DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_SIGACTION_BYTES = 256  # at least; 152 in glibc on x86-64

_jaxs: list[ctypes.Array] = []
"""The handler of SIGTERM that jax has set, once `share` was called."""


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Within, Ctrl-C and SIGTERM end the process, with a line; in training they save.

    A thread answers: raised in the main thread they would wait for what is done outside
    of Python, such as compiling, and libraries swallow them or make other errors of
    them. Nothing is lost by it that a kill would not lose. The first signal during
    training is for `train.fit`. One that is ignored, or that somebody else handles,
    stays so; and with VAE_JAX_TRACEBACK=1 Python's own answers stay.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or os.environ.get("VAE_JAX_TRACEBACK"):
        yield
        return
    ours = [
        number
        for number, default in _DEFAULTS.items()
        if signal.getsignal(number) is default
    ]
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, write)  # which ends the thread
        for number in ours:
            stack.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, _leave_it_to_the_thread)
        # Python writes there at once, whatever the main thread is at.
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, before)
        threading.Thread(target=_answer, args=(read, ours), daemon=True).start()
        yield


def share() -> None:
    """From now on a signal during training stops all processes, by way of jax.

    To be called when jax has put a handler of SIGTERM in the place of ours. Alone it
    would tell the other processes, and end none but those that train.
    """
    if signal.getsignal(signal.SIGTERM) is _leave_it_to_the_thread:
        _jaxs.append(_action(signal.SIGTERM))
        signal.signal(signal.SIGTERM, _leave_it_to_the_thread)


def _answer(read: int, ours: Collection[int]) -> None:
    is_first = True
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while number := pipe.read(1):
            if number[0] not in ours:
                continue
            if not (is_first and _is_training()):
                _end(number[0])
            is_first = False
            if _jaxs:
                _tell_all(number[0])


def _end(number: int) -> None:
    say = f"stopped by {_NAMES[signal.Signals(number)]}; the same command continues."
    if sys.__stderr__ is not None:
        show_cursor = "\x1b[?25h" if sys.__stderr__.isatty() else ""  # bars hide it
        print(show_cursor + say, file=sys.__stderr__, flush=True)
    os._exit(128 + number)


def _tell_all(number: int) -> None:
    if number == signal.SIGINT:
        print(
            "Ctrl-C: all processes save and stop at the next step of training; once "
            "more ends this one at once.",
            file=sys.stderr,
            flush=True,
        )
    ours = _action(signal.SIGTERM, _jaxs[-1])
    signal.raise_signal(signal.SIGTERM)
    _action(signal.SIGTERM, ours)


def _action(number: int, new: ctypes.Array | None = None) -> ctypes.Array:
    """What is done on a signal, as C sees it; `new` takes its place."""
    old = ctypes.create_string_buffer(_SIGACTION_BYTES)
    ctypes.CDLL(None).sigaction(int(number), new, old)
    return old


def _is_training() -> bool:
    # Where it is not imported, as jax is not to be for --help, nothing trains.
    interrupt = sys.modules.get("vae_jax.train.interrupt")
    return interrupt is not None and interrupt.is_watching()


def _leave_it_to_the_thread(number: int, frame: FrameType | None) -> None:
    del number, frame
