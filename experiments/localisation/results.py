"""What the runs of an experiment leave: results on disk, a page, tables on stdout."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.localisation import tables
from experiments.localisation.page import write_report
from experiments.localisation.settings import Settings
from experiments.localisation.tables import Result, Tables
from vae_jax import report, train
from vae_jax.software import versions


def write_results(
    results: Sequence[Result],
    *,
    folder: Path,
    config: Mapping[str, Any],
    source: str,
    published: tables.Published = lambda category: (),
) -> Tables:
    """Writes results.json and results.csv of the runs so far."""
    found = tables.summarise(results, published=published)
    if train.is_primary():
        content = {
            "rows": found.rows,
            "runs": found.runs,
            "defects": found.defects,
            "published": found.published,
            "config": config,
            "data": {"source": source} | {r.category: r.about for r in results},
            "detectors": [
                {"category": r.category, "seed": r.seed, **r.detector}
                for r in results
                if r.detector is not None
            ],
            "versions": versions(),
        }
        report.write_json(folder / "results.json", content)
        report.write_csv(folder / "results.csv", found.rows)
    return found


def report_results(
    results: Sequence[Result],
    found: Tables,
    settings: Settings,
    *,
    title: str,
    source: str,
    notes: Sequence[str] = (),
) -> None:
    """Prints the tables and what they say, and writes them as report.html."""
    write_page(results, found, settings, title=title, source=source, notes=notes)
    print_results(found, settings, source=source, notes=notes)


def write_page(
    results: Sequence[Result],
    found: Tables,
    settings: Settings,
    *,
    title: str,
    source: str,
    notes: Sequence[str] = (),
) -> None:
    """Writes report.html, from the first process alone.

    Of several seeds the page shows the first's images.
    """
    if not train.is_primary():
        return
    write_report(
        settings.folder / "report.html",
        title=title,
        facts={"Data": source},
        settings=settings,
        found=found,
        sections=[
            result.section
            for result in results
            if result.section is not None and result.seed == settings.seed
        ],
        notes=notes,
    )


def print_results(
    found: Tables, settings: Settings, *, source: str, notes: Sequence[str] = ()
) -> None:
    """Prints the tables and what they say, from the first process alone."""
    if not train.is_primary():
        return
    parts = [f"\nData: {source}"]
    if found.defects:
        parts += [
            "By kind of defect, at the model's resolution:",
            tables.show(found.defects, tables.DEFECT_COLUMNS),
        ]
    parts += [
        f"All test images, at {settings.resolution} resolution:",
        tables.show([*found.rows, *found.published], tables.COLUMNS),
        tables.NOTES,
        *notes,
        tables.verdict(found.rows),
        f"In {settings.folder}: report.html to look at, results.json, results.csv and, "
        "by category, pictures and detector.zip for experiments.predict.",
    ]
    print(*parts, sep="\n\n")
