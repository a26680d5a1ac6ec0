"""What a person sees of an inspection: its thresholds, a bar, failures, the outcome."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from experiments.inspection import Failed, Inspected
from experiments.marking import PICTURES
from experiments.predict import Config
from vae_jax.calibration import Calibration


def announce(
    config: Config, calibration: Calibration, image: float, pixel: float, *, todo: int
) -> None:
    """Says how much there is to do and from which scores on what is called anomalous.

    `image` and `pixel` are the thresholds.
    """
    say(
        f"{todo} images to inspect; an image is anomalous from {image:.4g} on "
        f"({config.image_threshold}: {calibration.images.rate_at(image):.2%} of "
        f"{calibration.images.count} held-out normal images are), a pixel from "
        f"{pixel:.4g} on ({config.pixel_threshold}: "
        f"{calibration.pixels.rate_at(pixel):.2%} of theirs are)"
    )


def conclude(counts: dict[str, int], speed: dict[str, Any], out: Path) -> None:
    """Prints what was found, how fast, and where it lies."""
    print(
        f"{counts['normal'] + counts['anomalous']} images inspected: "
        f"{counts['anomalous']} anomalous, {counts['normal']} normal; "
        f"{counts['failed']} could not be read."
    )
    if speed["images"]:
        stages = ", ".join(
            f"{stage} {1000 * seconds / speed['images']:.0f} ms"
            for stage, seconds in speed["seconds_of_work"].items()
        )
        print(
            f"{speed['images']} images in {speed['seconds']:.1f} s, "
            f"{speed['images_per_second']:.3g} images/s; an image took {stages}, "
            f"in {speed['threads']} threads beside the device."
        )
    print(f"In {out}: results.csv, results.json, {', '.join(PICTURES)}.")


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[Inspected | Failed], None]]:
    """A bar on a terminal; what failed is a line above it, on a terminal or not."""
    console = Console(stderr=True)
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    start = time.perf_counter()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def show(found: Inspected | Failed) -> None:
            done = bar.tasks[task].completed + 1
            rate = done / (time.perf_counter() - start)
            bar.update(task, completed=done, description=f"{rate:.3g} images/s")
            if isinstance(found, Failed):
                text = f"failed: {_printable(found.reason)}"
                console.print(text, soft_wrap=True, markup=False, highlight=False)

        yield show


def _printable(text: str) -> str:
    """On one line, whatever names of files are made of."""
    return text.encode(errors="backslashreplace").decode().replace("\n", "\\n")
