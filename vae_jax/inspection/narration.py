"""What a person sees of an inspection: its thresholds, a bar, failures."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vae_jax.calibration import LEVEL, Calibration, promised_rate
from vae_jax.data.folder import PassedOver
from vae_jax.inspection.plan import Calibrated, Thresholds
from vae_jax.inspection.settings import Settings
from vae_jax.inspection.stream import Failed, Inspected
from vae_jax.spelling import printable


def announce(
    settings: Settings, detector: Calibrated, thresholds: Thresholds, *, todo: int
) -> None:
    """Says how much there is to do and from which scores on what is called anomalous.

    Beside each threshold what it promises of new normal images, and how many held-out
    ones reach it, which for few of them is none, and no promise.
    """
    known = detector.calibration
    image, pixel = thresholds
    say(
        f"{todo} images to inspect; an image is anomalous from {image:.4g} on "
        f"({settings.image_threshold}: {_promise(settings, known)}; of "
        f"{known.images.count} held-out ones {known.images.count_at(image)} are), a "
        f"pixel from {pixel:.4g} on ({settings.pixel_threshold}: no promise of new "
        f"ones; of those of held-out images {known.pixels.rate_at(pixel):.2%} are)"
    )


def _promise(settings: Settings, known: Calibration) -> str:
    """What the image threshold promises."""
    rate = promised_rate(settings.image_threshold, known)
    if rate is None:
        return "no promise of new normal images"
    which = "new normal images"
    if settings.tile is not None:
        which += ", or of their tiles where they are cut,"
    promise = f"at most {100 * rate:.3g}% of {which} are"
    if rate > LEVEL and settings.image_threshold == "auto":
        promise += f", as so few held-out ones cannot promise {100 * LEVEL:g}%"
    return promise


def say_passed_over(passed_over: PassedOver) -> None:
    """Says what lies among the images and is not taken for one."""
    if told := passed_over.describe():
        say(f"passed over: {printable(told)}")


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(
    total: int, *, enabled: bool
) -> Iterator[Callable[[Inspected | Failed], None]]:
    """A bar on a terminal; what failed is a line above it, on a terminal or not."""
    console = Console(stderr=True, quiet=not enabled)
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    start = time.perf_counter()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def show(found: Inspected | Failed) -> None:
            done = bar.tasks[task].completed + 1
            rate = done / (time.perf_counter() - start)
            bar.update(task, completed=done, description=f"{rate:.3g} images/s")
            if isinstance(found, Failed):
                text = f"failed: {printable(found.reason)}"
                console.print(text, soft_wrap=True, markup=False, highlight=False)

        yield show
