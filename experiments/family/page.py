"""What a command of the family leaves: report.html to look at, results.json to read."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.family.settings import Family
from vae_jax import report
from vae_jax.report import html
from vae_jax.software import versions


def plate(path: Path, title: str, note: str = "") -> html.Plate:
    """A picture that a plot saved."""
    return html.Plate(title, path.read_bytes(), note)


def write(
    folder: Path,
    *,
    title: str,
    source: str,
    config: Any,
    family: Family,
    verdicts: Sequence[str],
    tables: Sequence[html.Table],
    plates: Sequence[html.Plate] = (),
    facts: Mapping[str, str] | None = None,
    results: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Writes report.html and results.json, and prints verdicts and tables.

    Args:
        folder: Of the run.
        title: Of the page.
        source: What the images are.
        config: The command's dataclass, for results.json.
        family: Its shared settings.
        verdicts: What the reader gets, in sentences; they stand first.
        tables: The results; their rows are in results.json by title.
        plates: Pictures.
        facts: More of what was run, name to value.
        results: More for results.json.
        notes: What a reader of the tables must know.
    """
    html.write_html(
        folder / "report.html",
        title=title,
        facts={"Images": source, **(facts or {}), **_facts(family)},
        verdicts=verdicts,
        tables=tables,
        plates=plates,
        notes=notes,
    )
    content = {
        "verdicts": list(verdicts),
        "tables": {table.title: list(table.rows) for table in tables},
        **(results or {}),
        "config": dataclasses.asdict(config),
        "data": {"source": source},
        "versions": versions(),
    }
    report.write_json(folder / "results.json", content)
    print(f"\nImages: {source}", *verdicts, sep="\n")
    for table in tables:
        print(f"\n{table.title}\n{report.format_table(table.rows, table.columns)}")
    print(f"\nIn {folder}: report.html, results.json and the pictures.")


def _facts(family: Family) -> dict[str, str]:
    made_with = versions()
    seeds = ", ".join(map(str, family.all_seeds))
    return {
        "Training": f"{family.epochs} epochs, batches of {family.batch_size}",
        "Seeds" if family.seeds > 1 else "Seed": seeds,
        "Device": made_with["device"],
        "Software": f"vae-jax {made_with['vae-jax']}, jax {made_with['jax']}, "
        f"flax {made_with['flax']}, Python {made_with['python']}",
        "Written": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    }
