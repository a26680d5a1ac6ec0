"""From the flags of `experiments.predict` to results on disk."""

import collections
import contextlib
import hashlib
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import findings, inspection, narration, thresholds
from experiments.inspection import Inspected, Plan, Tiles
from experiments.ledger import Ledger
from experiments.marking import PICTURES, Marks, Scale
from experiments.predict import Config
from vae_jax.calibration import Calibration
from vae_jax.data import folder
from vae_jax.data.concurrency import thread_count
from vae_jax.data.images import smallest_side
from vae_jax.export import Detector, load_detector

ARTIFACT = "detector.zip"
SOME_FAILED, INTERRUPTED = 3, 130
"""Exit statuses."""

MAP_HEADROOM = 64
"""A 16-bit map reaches so many times as far as the pixels of held-out images."""
COLOUR_HEADROOM = 3
"""The colours of an overlay reach so many times as far as 999 of 1000 of these."""


def run(config: Config) -> int:
    """Inspects what has no result yet; returns the exit status."""
    artifact = find_artifact(Path(config.checkpoint).expanduser())
    files = folder.find_images(config.images, recursive=config.recursive)
    out = Path(config.out).expanduser().resolve()
    refuse_inside(out, config.images, files)
    detector = load_detector(artifact, batch_size=config.batch_size)
    calibration = detector.calibration
    threshold = thresholds.image_threshold(config.image_threshold, calibration)
    plan = make_plan(config, detector, root=files.root, out=out)
    settings = {
        "detector_sha256": hashlib.sha256(artifact.read_bytes()).hexdigest(),
        "images": str(files.root),
        "image_threshold": threshold,
        "pixel_threshold": plan.marks.threshold,
        "tiles": plan.tiles and [*plan.tiles, plan.whole_up_to],
        "map_scale": list(plan.marks.map_scale),
    }
    with (
        _one_line(out),
        Ledger(
            out,
            findings.KINDS,
            settings,
            is_valid=lambda row: findings.is_done(row, plan),
            overwrite=config.overwrite,
        ) as ledger,
    ):
        todo = [name for name in files.names if name not in ledger.names]
        narration.announce(
            config, calibration, threshold, plan.marks.threshold, todo=len(todo)
        )
        speed = _fill(ledger, plan, todo, calibration, threshold)
        counts = findings.count(ledger.rows())
        ledger.finish(
            {"counts": counts, "settings": settings, "speed": speed}
            | findings.about(config, detector, plan)
        )
    narration.conclude(counts, speed, out)
    return SOME_FAILED if counts["failed"] else 0


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


def refuse_inside(out: Path, where: Sequence[str], files: folder.ImageFiles) -> None:
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


def make_plan(config: Config, detector: Detector, *, root: Path, out: Path) -> Plan:
    """What is done with every image, by the flags and the detector's calibration.

    Raises:
        ValueError: an impossible threshold, or tiles too small for the detector.
    """
    pixels = detector.calibration.pixels
    middle, high = pixels.quantile(0.5), pixels.quantile(0.999)
    marks = Marks(
        out,
        map_scale=_scale(pixels.quantile(0.0), pixels.quantile(1.0), MAP_HEADROOM),
        colours=_scale(middle, high, COLOUR_HEADROOM),
        threshold=thresholds.pixel_threshold(
            config.pixel_threshold,
            detector.calibration,
            image_size=detector.image_size,
        ),
    )
    bits = _data_of(detector).get("bits", 16)
    return Plan(detector, root, marks, *cut(config, detector), bits=bits)


def cut(config: Config, detector: Detector) -> tuple[Tiles | None, int]:
    """Which tiles are cut, by the flags, and how long a side may be without it.

    Raises:
        ValueError: tiles too small for the detector or for their overlap, or `auto` for
            a detector that does not say how large its training images were.
    """
    if config.tile is None:
        return None, 0
    side, whole_up_to = config.tile, 0
    if side == "auto":
        native_size = _data_of(detector).get("native_size")
        if native_size is None:
            raise ValueError(
                "--tile auto: this detector does not say how large its training images "
                "were; give a side in pixels."
            )
        side, whole_up_to = min(native_size), math.floor(1.5 * max(native_size))
    least = smallest_side(detector.image_size)
    if side < least:
        raise ValueError(
            f"--tile must be at least {least} pixels for a detector of "
            f"{detector.image_size} pixels, got {side}."
        )
    overlap = side // 4 if config.overlap is None else config.overlap
    if not 0 <= overlap < side:
        raise ValueError(
            f"--overlap must be from 0 to below the tile's {side}, got {overlap}."
        )
    return Tiles(side, overlap), whole_up_to


def _data_of(detector: Detector) -> dict[str, Any]:
    """What the detector says of its training images; nothing where others made it."""
    return detector.metadata["about"].get("data", {})


def _scale(low: float, high: float, headroom: float) -> Scale:
    # Flat normal maps would leave a scale without extent.
    return Scale(low, low + max(headroom * (high - low), float(np.finfo("f4").tiny)))


def _fill(
    ledger: Ledger,
    plan: Plan,
    names: Sequence[str],
    calibration: Calibration,
    image_threshold: float,
) -> dict[str, Any]:
    """Inspects and notes every image; returns how fast that was."""
    states = collections.deque[findings.FileState | None]()

    def noted() -> Iterator[str]:
        for name in names:  # its state before it is read: a later change is seen
            states.append(findings.state_of(plan.root / name))
            yield name

    work, inspected = np.zeros(3), 0
    if names:
        # Compiled before the clock starts.
        size, channels = plan.detector.image_size, plan.detector.channels
        plan.detector.maps(np.zeros((1, size, size, channels), np.uint8))
    with _quiet_decoders(), narration.progress(len(names)) as show:
        start = time.perf_counter()
        for found in inspection.inspect(plan, noted()):
            ledger.add(
                findings.make_row(
                    found,
                    states.popleft(),
                    calibration=calibration,
                    image_threshold=image_threshold,
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
        "seconds_of_work": inspection.Seconds(*work.tolist())._asdict(),
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
            f"predict: cannot write in {out} ({error.strerror or error}); free some "
            "space, or give another --out. The same command continues."
        ) from error
    except KeyboardInterrupt:
        narration.say("stopped; the same command continues.")
        raise SystemExit(INTERRUPTED) from None
