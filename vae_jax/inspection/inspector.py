"""Images through a detector, one finding after the other."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from vae_jax.data import folder
from vae_jax.inspection import findings
from vae_jax.inspection.findings import Finding
from vae_jax.inspection.plan import Calibrated, make_plan
from vae_jax.inspection.settings import Settings
from vae_jax.inspection.stream import Failed, look_at
from vae_jax.spelling import printable


def inspect(
    detector: Calibrated,
    paths: str | Path | Iterable[str | Path],
    settings: Settings | None = None,
) -> Iterator[Finding | Failed]:
    """Yields what is found in each image, in the order of the names.

    Reading and the device overlap, in bounded memory: of a large set take one finding
    after the other.

    Args:
        detector: from `detection.fit` or `export.load_detector`.
        paths: folders, files, or patterns such as `parts/*.tif`. Of a folder the files
            named like images are taken, of any size from a quarter of the detector's,
            and of any depth; of what is passed over a warning tells.
        settings: thresholds and tiles; by default those of `Settings()`.

    Raises:
        ValueError: there is no image, or the settings do not suit the detector. An
            image that cannot be read is yielded as `Failed`, with the reason.
    """
    settings = settings or Settings()
    files = folder.find_images(paths_of(paths), recursive=settings.recursive)
    if beside := files.passed_over.describe():
        warnings.warn(f"inspect: passed over {printable(beside)}.", stacklevel=2)
    plan = make_plan(settings, detector, root=files.root)

    def found() -> Iterator[Finding | Failed]:
        for each in look_at(plan, files.names):
            if isinstance(each, Failed):
                yield each
            else:
                yield findings.judge(
                    each, detector.calibration, threshold=plan.thresholds.image
                )

    return found()


def paths_of(paths: str | Path | Iterable[str | Path]) -> list[str]:
    """One or several, as text: a single one is no sequence of letters."""
    several = [paths] if isinstance(paths, str | Path) else paths
    return [str(each) for each in several]
