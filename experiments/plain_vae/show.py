"""What a run came to: tables, pictures, the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.family import page
from experiments.family.settings import Family
from experiments.plain_vae import pictures, settings, tables
from experiments.plain_vae.collapse import Collapse, collapse_table
from experiments.plain_vae.runs import Runs
from vae_jax.report.html import Plate, Table


class Found(NamedTuple):
    """All that was trained."""

    settings: Runs
    plane: Runs
    """With two latents."""
    collapse: Collapse | None


def write(
    found: Found, config: Any, family: Family, source: str
) -> dict[str, list[dict[str, Any]]]:
    """Draws everything and writes the page; returns the rows of its tables."""
    made = [
        tables.beta_table(found.settings),
        tables.space_table(found.settings),
        tables.denoising_table(found.settings),
    ]
    plates = _pictures(found, family.folder, config.pair)
    if found.collapse:
        made.append(collapse_table(found.collapse))
        plates += pictures.draw_collapse(family.folder, found.collapse)
    page.write(
        family.folder,
        title="The plain VAE",
        source=source,
        config=config,
        family=family,
        verdicts=tables.verdicts(made),
        tables=made,
        plates=plates,
        facts=_facts(config),
    )
    return {table.title: _rows(table) for table in made}


def _pictures(found: Found, folder: Path, pair: tuple[int, int]) -> list[Plate]:
    runs, by_beta = found.settings, [*settings.BY_BETA.values()]
    curves = folder / "training.png"
    return [
        pictures.draw_curves(curves, runs.trained, runs.names, shown=by_beta),
        pictures.draw_reconstructions(folder / "reconstructions.png", runs),
        pictures.draw_samples(folder / "samples.png", runs),
        pictures.draw_interpolation(folder / "interpolation.png", runs, pair),
        pictures.draw_traversals(folder / "traversals-1.png", runs, 1),
        pictures.draw_traversals(folder / "traversals-4.png", runs, 4),
        *pictures.draw_plane(folder, found.plane),
        pictures.draw_denoising(folder / "denoising.png", runs),
        pictures.draw_attention(folder / "attention.png", runs),
    ]


def _facts(config: Any) -> Mapping[str, str]:
    return {
        "Network": f"{config.network}, {config.latents} latents, width {config.hidden}",
        "Likelihood": config.likelihood,
    }


def _rows(table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in table.rows]
