"""The report of an experiment: facts, verdicts and tables around its sections."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from experiments.localisation import tables
from experiments.localisation.settings import Settings
from vae_jax.report import html
from vae_jax.software import versions

RANKED = tuple(
    name for name in tables.COLUMNS if name not in ("category", "method", "kind")
)
"""Columns of which the report marks the highest value."""


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    settings: Settings,
    found: tables.Tables,
    sections: Sequence[html.Section],
    notes: Sequence[str] = (),
) -> None:
    """Writes the page of a run.

    Args:
        path: of the page.
        title: of the run.
        facts: what was run, on which data, drawn or photographed.
        settings: of the run; they are added to the facts, as are time and software.
        found: the results.
        sections: one a category.
        notes: what a reader of the tables must know, besides `tables.NOTES`.
    """
    html.write_html(
        path,
        title=title,
        facts={**facts, **_facts(settings)},
        verdicts=tables.verdict(found.rows).splitlines(),
        tables=list(_tables(settings, found)),
        sections=sections,
        notes=[*tables.NOTES.splitlines(), *notes],
    )


def _facts(settings: Settings) -> dict[str, str]:
    made_with = versions()
    seeds = [str(each.seed) for each in settings.of_each_seed()]
    return {
        "Network": f"{settings.network}, {settings.latents} latents, {settings.tap}",
        "Images": f"{settings.image_size} px, {settings.likelihood} likelihood",
        "Training": f"{settings.epochs} epochs, batches of {settings.batch_size}",
        "Seeds" if len(seeds) > 1 else "Seed": ", ".join(seeds),
        "Device": made_with["device"],
        "Software": f"vae-jax {made_with['vae-jax']}, jax {made_with['jax']}, "
        f"flax {made_with['flax']}, Python {made_with['python']}",
        "Written": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    }


def _tables(settings: Settings, found: tables.Tables) -> Iterator[html.Table]:
    yield html.Table(
        f"All test images, at {settings.resolution} resolution",
        [tables.spread(row, tables.COLUMNS) for row in found.rows] + found.published,
        tables.COLUMNS,
        highest=RANKED,
        is_ranked=lambda row: row not in found.published,
        note="Bold: the best of each category; published figures are not ranked.",
    )
    if found.defects:
        yield html.Table(
            "By kind of defect, at the model's resolution",
            [tables.spread(row, tables.DEFECT_COLUMNS) for row in found.defects],
            tables.DEFECT_COLUMNS,
            highest=("aupro", "best_iou"),
            groups=("category", "defect"),
        )
