"""What the runs of a sweep came to: scores, tables over seeds, and a verdict."""

import warnings
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from experiments import published
from experiments.console import say
from experiments.representation import Representation, brief_figures, represent
from experiments.sweep import ATTENTION, Group, Run, values_text
from experiments.sweep_runs import Trained
from vae_jax import plots, report, train
from vae_jax.factor_images import FactorImages
from vae_jax.metrics.disentanglement import (
    REPRO2021,
    STANDARD,
    FullGrid,
    Protocol,
    Suite,
    suite,
    udr,
)
from vae_jax.metrics.latents import warn_of_collapse

Row = dict[str, Any]
ProtocolName = Literal["standard", "repro2021"]

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
FactorVAE: accuracy; chance is 1 / factors. UDR knows no labels: do the seeds agree?"""

_UDR_EXAMPLES = 1000


class Scored(NamedTuple):
    """One run's scores, and what its pictures are drawn of."""

    group: Group
    number: int
    """Of the run in its group."""
    scores: dict[str, float]
    """Without those that are not defined, as of latents that do not vary."""
    suite: Suite
    kl: Float[np.ndarray, " latent"]
    """Mean of each latent, in nats."""

    @property
    def run(self) -> Run:
        """Its seed and values."""
        return self.group.runs[self.number]

    @property
    def setting(self) -> tuple:
        """What it shares with the other seeds."""
        return self.group.objective, self.group.tap, tuple(self.run.values.items())


def protocol_named(name: ProtocolName) -> Protocol:
    """The numbers of votes and examples of a published protocol."""
    match name:
        case "standard":
            return STANDARD
        case "repro2021":
            return REPRO2021


def score_group(
    trained: Trained,
    held: FactorImages,
    *,
    protocol: ProtocolName,
    trees: bool,
    collapse_nats: float,
) -> list[Scored]:
    """Every metric of every run, on one encoding of the grid each.

    A run of which no latent has a KL of `collapse_nats` is named on stderr.
    """
    numbers = range(len(trained.group.runs))
    found, codes = [], []
    for number in numbers:
        encoded = represent(trained.model, trained.params_of(number), held)
        found.append(
            _score(trained.group, number, encoded, held, protocol, trees, collapse_nats)
        )
        codes.append(_sample(encoded))
    for scored, agreement in zip(found, _agreement(found, codes), strict=True):
        scored.scores.update(agreement)
    return found


def _score(
    group: Group,
    number: int,
    encoded: Representation,
    held: FactorImages,
    protocol: ProtocolName,
    trees: bool,
    collapse_nats: float,
) -> Scored:
    numbers = protocol_named(protocol)
    whole = suite(
        encoded.mean,
        FullGrid(held.grid.sizes),
        key=jax.random.key(0),
        logvar=encoded.logvar,
        protocol=numbers,
        trees=trees,
    )
    kl = encoded.kl.mean(0)
    _say_if_collapsed(group, number, kl, threshold_nats=collapse_nats)
    brief = brief_figures(encoded, held.grid.sizes, protocol=numbers)
    scores = {
        name: score for name, score in (brief | whole.scores).items() if isfinite(score)
    }
    return Scored(group, number, scores, whole, kl)


def _say_if_collapsed(
    group: Group,
    number: int,
    kl: Float[np.ndarray, " latent"],
    *,
    threshold_nats: float,
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_collapse(jnp.asarray(kl), threshold_nats=threshold_nats)
    for warning in caught:
        values = values_text(group.runs[number])
        say(f"{group.name} {values}, seed {group.runs[number].seed}: {warning.message}")


def _sample(encoded: Representation) -> Float[np.ndarray, "example latent"]:
    """Codes of the same images of every run."""
    rng = np.random.default_rng(0)
    size = len(encoded.mean)
    return np.asarray(encoded.mean)[
        rng.choice(size, min(size, _UDR_EXAMPLES), replace=False)
    ]


def _agreement(
    found: Sequence[Scored], codes: Sequence[Float[np.ndarray, "example latent"]]
) -> list[dict[str, float]]:
    """UDR of each run among the seeds of its setting; nothing where it is alone."""
    agreement: list[dict[str, float]] = [{} for _ in found]
    for members in by_setting(found).values():
        if len(members) < 2:
            continue
        own = [found.index(scored) for scored in members]
        for similarity in ("lasso", "spearman"):
            scores = udr(
                np.stack([codes[i] for i in own]),
                similarity=similarity,
                kl=np.stack([found[i].kl for i in own]),
            ).scores
            for i, score in zip(own, np.asarray(scores), strict=True):
                agreement[i][f"udr_{similarity}"] = float(score)
    return agreement


def by_setting(results: Sequence[Scored]) -> dict[tuple, list[Scored]]:
    """The runs that differ in nothing but their seed, by what they share."""
    found: dict[tuple, list[Scored]] = {}
    for scored in results:
        found.setdefault(scored.setting, []).append(scored)
    return found


def summarise(results: Sequence[Scored]) -> list[Row]:
    """A row a setting: of every score mean, deviation and half the 95 % interval."""
    rows = []
    for members in by_setting(results).values():
        first = members[0]
        row: Row = {**_names(first), "seeds": len(members)}
        for name in first.scores:
            if not all(name in scored.scores for scored in members):
                continue
            values = np.array([scored.scores[name] for scored in members])
            row[name] = float(values.mean())
            if len(values) > 1:
                row[f"{name}_std"] = float(values.std(ddof=1))
                row[f"{name}_interval"] = plots.confidence(values)
        rows.append(row)
    return rows


def _names(scored: Scored) -> Row:
    return {
        "objective": scored.group.objective,
        "tap": scored.group.tap,
        "setting": values_text(scored.run) or None,
    }


def write_results(
    results: Sequence[Scored], *, config: Mapping[str, Any], folder: Path
) -> list[Row]:
    """Writes results.json and results.csv of the runs so far; returns the summary."""
    rows = summarise(results)
    if train.is_primary():
        content = {
            "rows": rows,
            "runs": [
                {**_names(scored), "seed": scored.run.seed, **scored.scores}
                for scored in results
            ],
            "published": published.DSPRITES,
            "config": config,
            "versions": report.versions(),
        }
        report.write_json(folder / "results.json", content)
        report.write_csv(folder / "results.csv", rows)
    return rows


def print_results(
    results: Sequence[Scored], rows: Sequence[Row], *, folder: Path, source: str
) -> None:
    """Prints the table, the published figures, and whether the attention loss helps."""
    columns = {"objective": "objective", "tap": "tap", "setting": "setting"}
    shown = [
        {name: row.get(name) for name in columns}
        | {name: _with_interval(row, name) for name in SHOWN}
        for row in [*rows, *published.DSPRITES]
    ]
    print(
        f"\nData: {source}",
        report.format_table(shown, columns | SHOWN),
        NOTES,
        published.DSPRITES_CAVEAT,
        *verdict(results),
        f"In {folder}: figure8.png, figure9.png; by objective curves, traversals, "
        "votes and mutual information; results.json and results.csv.",
        sep="\n\n",
    )


def _with_interval(row: Row, name: str) -> str | None:
    if row.get(name) is None:
        return None
    interval = row.get(f"{name}_interval")
    return f"{row[name]:.3f}" + ("" if interval is None else f" ± {interval:.3f}")


def verdict(results: Sequence[Scored]) -> list[str]:
    """A line for each setting with the attention loss, against the same without it.

    The seeds are paired: the same seed is the same initial network and batches.
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
    lines = []
    for members in by_setting(results).values():
        if members[0].group.tap is None:
            continue
        pairs = [
            (scored, plain[key])
            for scored in members
            if (key := _without_attention(scored)) in plain
        ]
        if pairs:
            lines.append(_compare(pairs))
    return lines


def _without_attention(scored: Scored) -> tuple:
    values = {k: v for k, v in scored.run.values.items() if k != "attention"}
    objective = scored.group.objective.removeprefix(ATTENTION)
    return objective, tuple(values.items()), scored.run.seed


def _compare(pairs: Sequence[tuple[Scored, Scored]]) -> str:
    gains = np.array(
        [a.scores["factor_vae"] - b.scores["factor_vae"] for a, b in pairs]
    )
    names = _names(pairs[0][0])
    what = f"{names['objective']} {names['tap']}, {names['setting']}"
    other = pairs[0][1].group.objective
    line = f"{what}: FactorVAE score {gains.mean():+.3f} against {other}"
    if len(gains) < 2:
        return f"{line}; one seed says nothing of chance."
    half = plots.confidence(gains)
    low, high = gains.mean() - half, gains.mean() + half
    says = "helps" if low > 0 else "harms" if high < 0 else "within the noise of seeds"
    return f"{line} ({low:+.3f} to {high:+.3f}, {len(gains)} seeds): {says}."
