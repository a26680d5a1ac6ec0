"""What a person at a terminal sees of a run: lines and bars, on stderr."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress

from vae_jax import train


def say(text: str) -> None:
    """A line on stderr, of the first process alone."""
    if train.is_primary():
        print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, of the first process alone; it is told (done, total)."""
    console = Console(stderr=True)
    hidden = not (train.is_primary() and console.is_terminal)
    with Progress(console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(text)
        yield lambda done, total: bar.update(task, completed=done, total=total)
