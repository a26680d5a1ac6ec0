"""What the runs of a sweep came to: tables over seeds, and a verdict."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.disentanglement import published
from experiments.disentanglement.scores import Scored, by_setting, empty_maps
from experiments.disentanglement.sweep import ATTENTION, values_text
from vae_jax import metrics, report, train
from vae_jax.software import versions

Row = dict[str, Any]

SHOWN = {
    "distortion": "distortion",
    "rate": "rate",
    "factor_vae": "FactorVAE",
    "mig_binned": "MIG",
    "dci_logistic_disentanglement": "DCI logistic",
    "sap": "SAP",
    "modularity": "modularity",
    "gaussian_total_correlation": "Gaussian TC",
    "udr_spearman": "UDR",
}
NOTES = """\
Mean over seeds ± half of the 95 % interval of that mean (Student's t).
distortion: reconstruction error, rate: KL, Gaussian TC: all in nats.
FactorVAE: accuracy; chance is 1 / factors. UDR knows no labels: do the seeds agree?
It scores them against each other, so they are not independent: it has no interval."""


def summarise(results: Sequence[Scored]) -> list[Row]:
    """A row a setting: of every score mean, deviation and half the 95 % interval.

    Of UDR the mean alone: seeds share the pairs that they are scored by, so deviation
    and interval, which take them as independent, would be too small.
    """
    rows = []
    for members in by_setting(results).values():
        first = members[0]
        row: Row = {**_names(first), "seeds": len(members)}
        for name in first.scores:
            if not all(name in scored.scores for scored in members):
                continue
            values = np.array([scored.scores[name] for scored in members])
            row[name] = float(values.mean())
            if len(values) > 1 and not name.startswith("udr_"):
                row[f"{name}_std"] = float(values.std(ddof=1))
                row[f"{name}_interval"] = metrics.confidence_half_width(values)
        rows.append(row)
    return rows


def _names(scored: Scored) -> Row:
    return {
        "objective": scored.group.objective,
        "tap": scored.group.tap,
        "setting": values_text(scored.run) or None,
    }


def write_results(
    results: Sequence[Scored],
    *,
    about: Mapping[str, Any],
    folder: Path,
) -> list[Row]:
    """Writes results.json and results.csv of the runs so far; returns the summary."""
    rows = summarise(results)
    if train.is_primary():
        content = {
            **about,
            "rows": rows,
            "runs": [
                {
                    **_names(scored),
                    "seed": scored.run.seed,
                    **scored.scores,
                    "kl": scored.kl.tolist(),
                }
                for scored in results
            ],
            "published": published.DSPRITES,
            "versions": versions(),
        }
        report.write_json(folder / "results.json", content)
        report.write_csv(folder / "results.csv", rows)
    return rows


def print_results(
    results: Sequence[Scored], rows: Sequence[Row], *, made_of: str
) -> None:
    """Prints the table, the published figures, and whether the attention loss helps."""
    columns = {"objective": "objective", "tap": "tap", "setting": "setting"}
    shown = [
        {name: row.get(name) for name in columns}
        | {name: _with_interval(row, name) for name in SHOWN}
        for row in [*rows, *published.DSPRITES]
    ]
    print(
        f"\n{made_of}",
        report.format_table(shown, columns | SHOWN),
        NOTES,
        published.DSPRITES_CAVEAT,
        *verdict(results),
        sep="\n\n",
    )


def _with_interval(row: Row, name: str) -> str | None:
    if row.get(name) is None:
        return None
    interval = row.get(f"{name}_interval")
    return f"{row[name]:.3f}" + ("" if interval is None else f" ± {interval:.3f}")


def verdict(results: Sequence[Scored]) -> list[str]:
    """A line for each setting with the attention loss, against the same without it.

    The seeds are paired: the same seed is the same initial network and batches. The
    intervals hold together with 95 % (Bonferroni): of many settings some would seem to
    help by chance. Each line ends with the share of empty maps, of the two strongest
    latents of an image, with the loss and without it: an empty map overlaps with none.
    """
    plain = {
        (
            scored.group.objective,
            tuple(scored.run.values.items()),
            scored.run.seed,
        ): scored
        for scored in results
        if scored.group.tap is None
    }
    compared = []
    for members in by_setting(results).values():
        pairs = [
            (scored, plain[key])
            for scored in members
            if scored.group.tap is not None
            and (key := _without_attention(scored)) in plain
        ]
        if pairs:
            compared.append(pairs)
    coverage = 1 - 0.05 / max(len(compared), 1)
    return [_compare(pairs, coverage=coverage) for pairs in compared]


def _without_attention(scored: Scored) -> tuple:
    values = {k: v for k, v in scored.run.values.items() if k != "attention"}
    objective = scored.group.objective.removeprefix(ATTENTION)
    return objective, tuple(values.items()), scored.run.seed


def _compare(pairs: Sequence[tuple[Scored, Scored]], *, coverage: float) -> str:
    gains = np.array(
        [a.scores["factor_vae"] - b.scores["factor_vae"] for a, b in pairs]
    )
    names = _names(pairs[0][0])
    what = f"{names['objective']} {names['tap']}, {names['setting']}"
    other = pairs[0][1].group.objective
    line = f"{what}: FactorVAE score {gains.mean():+.3f} against {other}"
    score = empty_maps(names["tap"])
    mine, theirs = np.mean([[r.scores[score] for r in pair] for pair in pairs], axis=0)
    empty = f"Empty maps of the strongest latents: {mine:.0%}, without it {theirs:.0%}."
    if len(gains) < 2:
        return f"{line}; one seed says nothing of chance. {empty}"
    half = metrics.confidence_half_width(gains, coverage=coverage)
    low, high = gains.mean() - half, gains.mean() + half
    says = "helps" if low > 0 else "harms" if high < 0 else "within the noise of seeds"
    interval = f"{low:+.3f} to {high:+.3f} at {coverage:.1%}"
    return f"{line} ({interval}, {len(gains)} seeds): {says}. {empty}"
