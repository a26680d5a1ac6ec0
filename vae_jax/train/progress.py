"""What a person sees of a run: a bar on a terminal, plain lines elsewhere."""

import datetime
import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vae_jax.train.recorder import Figures


class Display:
    """Steps done, latest figures, examples per second and time left, on stderr.

    Of figures of many runs it shows the mean over runs, in which a NaN stays visible.
    Shows nothing with `enabled=False`, for processes other than the first.
    """

    def __init__(self, *, start_step: int, steps: int, enabled: bool):
        self._console = Console(stderr=True, quiet=not enabled)
        self._steps = steps
        self._meter = Meter(start_step)
        self._bar = Progress(
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not (enabled and self._console.is_terminal),
        )
        self._task = self._bar.add_task("", total=steps, completed=start_step)

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def pause(self, step: int) -> None:
        """Leaves what happens until the next figures out of the rate."""
        self._meter = Meter(step)

    def train(
        self, step: int, figures: Figures, *, examples_per_step: int
    ) -> dict[str, float]:
        """Shows the figures of a step; returns the times to record with them."""
        rate = self._meter.steps_per_second(step)
        left = datetime.timedelta(seconds=round((self._steps - step) / rate))
        times = {"examples_per_second": rate * examples_per_step}
        # Figures last: a narrow terminal cuts the end.
        text = (
            f"{times['examples_per_second']:.0f} examples/s  {left} left  "
            f"{_format(figures)}"
        )
        self._bar.update(self._task, completed=step, description=text)
        if self._bar.disable:
            self.say(f"step {step}/{self._steps}  {text}")
        return times

    def evaluation(self, step: int, figures: Figures) -> None:
        """Shows the figures of an evaluation on a line of its own."""
        self.say(f"step {step}/{self._steps}  evaluation: {_format(figures)}")

    def say(self, text: str) -> None:
        """Prints one line, above the bar where there is one."""
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)


class Meter:
    """Counts steps against the clock, from when it is made."""

    def __init__(self, step: int):
        self._step, self._start = step, time.perf_counter()

    def steps_per_second(self, step: int) -> float:
        """The mean rate since then, positive even on a clock that did not move."""
        seconds = max(time.perf_counter() - self._start, 1e-9)
        return max(step - self._step, 1) / seconds


def _format(figures: Figures) -> str:
    return "  ".join(f"{name} {np.mean(value):.4g}" for name, value in figures.items())
