"""An inspection on disk: pictures and a row of each image, continued after a kill."""

import contextlib
import hashlib
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vae_jax.data import folder
from vae_jax.data.concurrency import thread_count
from vae_jax.export import Detector, load_detector
from vae_jax.folders import alone_in, remedy
from vae_jax.inspection import findings, narration
from vae_jax.inspection.inspector import paths_of
from vae_jax.inspection.ledger import Ledger
from vae_jax.inspection.marking import PICTURES
from vae_jax.inspection.plan import Plan, make_plan
from vae_jax.inspection.settings import Settings
from vae_jax.inspection.stream import Inspected, Seconds, look_at
from vae_jax.spelling import printable

ARTIFACT = "detector.zip"


class Outcome(NamedTuple):
    """What an inspection came to."""

    out: Path
    counts: dict[str, int]
    """Images that are "normal" and "anomalous", and that "failed"."""
    speed: dict[str, Any]
    """Of what this call did: "images", "seconds" and where these went."""
    passed_over: folder.PassedOver = folder.PassedOver()
    """What lay among the images and was not taken for one."""


def record(
    checkpoint: str | Path,
    images: str | Path | Iterable[str | Path],
    out: str | Path,
    settings: Settings | None = None,
    *,
    batch_size: int = 32,
    overwrite: bool = False,
    progress: bool = True,
) -> Outcome:
    """Inspects what has no result yet in `out`, and writes what is found there.

    For each image maps/NAME.png (16 bits, one scale for all), masks/NAME.png and
    overlays/NAME.png at its size, and a row of results.csv; at the end results.json.

    Args:
        checkpoint: a detector.zip, or the folder of a run that holds one.
        images: folders, files or patterns.
        out: folder for the results, outside those of images.
        settings: thresholds and tiles; by default those of `Settings()`.
        batch_size: images, or tiles, that the device gets at a time.
        overwrite: do everything anew; else an image that has a result keeps it, unless
            the bytes of its file have changed.
        progress: whether thresholds, a bar and failures are told on stderr.

    Raises:
        ValueError: no detector, no image, settings that do not suit the detector, or
            `out` holds results made otherwise, or lies among the images.
        OSError: a result cannot be written, or another process writes to `out`.
    """
    settings = settings or Settings()
    artifact = find_artifact(Path(checkpoint).expanduser())
    where = paths_of(images)
    files = folder.find_images(where, recursive=settings.recursive)
    out = Path(out).expanduser().resolve()
    _refuse_inside(out, where, files)
    detector = load_detector(artifact, batch_size=batch_size)
    plan = make_plan(settings, detector, root=files.root, out=out)
    marks = plan.marks
    assert marks is not None, "a plan with a folder draws"
    made_with = {
        "detector_sha256": hashlib.sha256(artifact.read_bytes()).hexdigest(),
        "images": str(files.root),
        "image_threshold": plan.thresholds.image,
        "pixel_threshold": plan.thresholds.pixel,
        "tiles": plan.tiles and [*plan.tiles, plan.whole_up_to],
        "map_scale": list(marks.map_scale),
    }
    with (
        alone_in(out, name="--out"),
        _one_line(out),
        Ledger(
            out,
            findings.KINDS,
            made_with,
            is_valid=lambda row: findings.is_done(row, plan.root, marks),
            overwrite=overwrite,
        ) as ledger,
    ):
        todo = [name for name in files.names if name not in ledger.names]
        if progress:
            narration.announce(settings, detector, plan.thresholds, todo=len(todo))
            narration.say_passed_over(files.passed_over)
        speed = _fill(ledger, plan, todo, detector, progress=progress)
        counts = findings.count(ledger.rows())
        ledger.finish(
            {"counts": counts, "settings": made_with, "speed": speed}
            | {"passed_over": files.passed_over._asdict()}
            | findings.about(settings, detector, plan, marks)
        )
    return Outcome(out, counts, speed, files.passed_over)


def find_artifact(checkpoint: Path) -> Path:
    """The detector.zip that `checkpoint` is, holds, or holds in its only sub-folder.

    Raises:
        ValueError: there is none, or one in each of several folders.
    """
    if checkpoint.is_file():
        return checkpoint
    here = checkpoint / ARTIFACT
    found = [here] if here.is_file() else sorted(checkpoint.glob(f"*/{ARTIFACT}"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(
            f"--checkpoint: there is no {ARTIFACT} in {checkpoint}; give that file, or "
            "the folder of a run that has finished."
        )
    raise ValueError(
        f"--checkpoint: {checkpoint} holds several, of "
        f"{', '.join(path.parent.name for path in found)}; give one of these folders."
    )


def describe(outcome: Outcome) -> str:
    """What was found, how fast, and where it lies."""
    counts, speed = outcome.counts, outcome.speed
    lines = [
        f"{counts['normal'] + counts['anomalous']} images inspected: "
        f"{counts['anomalous']} anomalous, {counts['normal']} normal; "
        f"{counts['failed']} could not be read."
    ]
    if beside := outcome.passed_over.describe():
        lines.append(f"Passed over: {printable(beside)}.")
    if speed["images"]:
        stages = ", ".join(
            f"{stage} {1000 * seconds / speed['images']:.0f} ms"
            for stage, seconds in speed["seconds_of_work"].items()
        )
        lines.append(
            f"{speed['images']} images in {speed['seconds']:.1f} s, "
            f"{speed['images_per_second']:.3g} images/s; an image took {stages}, "
            f"in {speed['threads']} threads beside the device."
        )
    lines.append(f"In {outcome.out}: results.csv, results.json, {', '.join(PICTURES)}.")
    return "\n".join(lines)


def _refuse_inside(out: Path, where: Sequence[str], files: folder.ImageFiles) -> None:
    """Refuses results among the images, which the next run would take for images.

    Raises:
        ValueError: says which folder is in which.
    """
    root = files.root.resolve()
    places = [Path(each).expanduser().resolve() for each in where]
    around = [each for each in places if each.is_dir() and out.is_relative_to(each)]
    results = [out / kind for kind in PICTURES]
    inside = [
        result
        for result in results
        if any((root / name).is_relative_to(result) for name in files.names)
    ]
    if around or inside:
        within = (
            f"{out} lies in {around[0]}" if around else f"images lie in {inside[0]}"
        )
        raise ValueError(
            f"--out: {within}; results would be taken for images: give a folder "
            "outside those of --images."
        )


def _fill(
    ledger: Ledger,
    plan: Plan,
    names: Sequence[str],
    detector: Detector,
    *,
    progress: bool,
) -> dict[str, Any]:
    """Inspects and notes every image; returns how fast that was."""
    work, inspected = np.zeros(3), 0
    if names:
        # Compiled before the clock starts.
        size, channels = detector.image_size, detector.channels
        detector.maps(np.zeros((1, size, size, channels), np.uint8))
    with _quiet_decoders(), narration.progress(len(names), enabled=progress) as show:
        start = time.perf_counter()
        for found in look_at(plan, names):
            ledger.add(
                findings.make_row(
                    found,
                    calibration=detector.calibration,
                    image_threshold=plan.thresholds.image,
                )
            )
            if isinstance(found, Inspected):
                inspected += 1
                work += found.seconds
            show(found)
        seconds = time.perf_counter() - start
    return {
        "images": inspected,
        "seconds": seconds,
        "images_per_second": inspected / seconds,
        "seconds_of_work": Seconds(*work.tolist())._asdict(),
        "threads": thread_count(),
    }


@contextlib.contextmanager
def _quiet_decoders() -> Iterator[None]:
    """Of a file that is broken they warn, too; what counts is said once, by name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextlib.contextmanager
def _one_line(out: Path) -> Iterator[None]:
    """Says what stopped it, and that what is there is not lost."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f"predict: cannot write in {out} ({error.strerror or error}); "
            f"{remedy(error, other='give another --out')}. The same command continues."
        ) from error
