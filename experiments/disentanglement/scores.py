"""The scores of every run of a sweep, kept on disk, and what its pictures are of."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

import vae_jax
from experiments.disentanglement.representation import (
    Evaluation,
    Representation,
    brief_figures,
    represent,
)
from experiments.disentanglement.runs import MAP_RULES, Trained, group_folder
from experiments.disentanglement.strongest_maps import share_of_empty_maps
from experiments.disentanglement.sweep import Group, Run, Sweep, run_name
from experiments.launch.console import progress_bar, say
from vae_jax import train
from vae_jax.metrics.disentanglement import (
    REPRO2021,
    STANDARD,
    FullGrid,
    Protocol,
    suite,
    udr,
)
from vae_jax.metrics.latents import collapse_message

ProtocolName = Literal["standard", "repro2021"]

_UDR_EXAMPLES = 1000


class Scored(NamedTuple):
    """One run's scores, and what its pictures are drawn of."""

    group: Group
    number: int
    """Of the run in its group."""
    scores: dict[str, float]
    """Without those that are not defined, as of latents that do not vary."""
    kl: Float[np.ndarray, " latent"]
    """Mean of each latent, in nats."""
    votes: Int[np.ndarray, "factor latent"]
    """Of the FactorVAE score."""
    information: Float[np.ndarray, "latent factor"]
    """Mutual information, in nats."""
    codes: Float[np.ndarray, "example latent"]
    """Of the same images for every run, for what compares runs."""

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


def score_group(sweep: Sweep, trained: Trained, evaluation: Evaluation) -> list[Scored]:
    """Every metric of every run, on one encoding of all images each.

    A run's scores are kept beside its checkpoints, so a sweep that is started again
    does not score it again. A run that has collapsed is named on stderr.
    """
    group = trained.group
    of = _made_of(sweep, evaluation)
    with progress_bar(f"scoring {group.name}") as progress:
        found = []
        for number in range(len(group.runs)):
            progress(number, len(group.runs))
            path = _file(sweep, group, number)
            scored = _load(path, group, number, of)
            if scored is None:
                scored = _score(sweep, trained, number, evaluation)
                if train.is_primary():
                    _save(path, scored, of)
            found.append(scored)
    for scored in found:
        text = collapse_message(scored.kl, threshold_nats=evaluation.collapse_nats)
        if text is not None:
            say(f"{group.name} {run_name(scored.run)}: {text}")
    return _with_agreement(found)


def kept_scores(sweep: Sweep, group: Group, evaluation: Evaluation) -> list[Scored]:
    """What `score_group` found before, nothing if that is not of all runs."""
    of = _made_of(sweep, evaluation)
    numbers = range(len(group.runs))
    found = [_load(_file(sweep, group, i), group, i, of) for i in numbers]
    complete = [scored for scored in found if scored is not None]
    return _with_agreement(complete) if len(complete) == len(found) else []


def by_setting(results: Sequence[Scored]) -> dict[tuple, list[Scored]]:
    """The runs that differ in nothing but their seed, by what they share."""
    found: dict[tuple, list[Scored]] = {}
    for scored in results:
        found.setdefault(scored.setting, []).append(scored)
    return found


def empty_maps(tap: str) -> str:
    """The name of a score: the share of maps at `tap` that are zero everywhere."""
    return f"empty_maps_{tap}"


def _score(
    sweep: Sweep, trained: Trained, number: int, evaluation: Evaluation
) -> Scored:
    params = trained.params_of(number)
    encoded = represent(trained.model, params, evaluation.images)
    whole = suite(
        encoded.mean,
        FullGrid(evaluation.images.grid.sizes),
        key=jax.random.key(0),
        logvar=encoded.logvar,
        protocol=evaluation.protocol,
        trees=evaluation.trees,
    )
    brief = brief_figures(encoded, evaluation)
    kl = np.asarray(brief.pop("kl"))
    # Both draw votes of their own: the table ends where the curve does.
    both = whole.scores | brief
    both |= {
        empty_maps(tap): share_of_empty_maps(
            trained.model,
            params,
            evaluation.images,
            tap=tap,
            rule=MAP_RULES[sweep.map_rule],
        )
        for tap in _taps(sweep)
    }
    scores = {name: float(score) for name, score in both.items() if isfinite(score)}
    return Scored(
        trained.group,
        number,
        scores,
        kl,
        np.asarray(whole.votes),
        np.asarray(whole.mutual_information),
        _sample(encoded),
    )


def _taps(sweep: Sweep) -> list[str]:
    """Where runs of the sweep have an attention loss; all runs have maps there."""
    return sorted({group.tap for group in sweep.groups() if group.tap is not None})


def _sample(encoded: Representation) -> Float[np.ndarray, "example latent"]:
    rng = np.random.default_rng(0)
    size = len(encoded.mean)
    chosen = rng.choice(size, min(size, _UDR_EXAMPLES), replace=False)
    return np.asarray(encoded.mean)[chosen]


def _with_agreement(found: Sequence[Scored]) -> list[Scored]:
    """UDR of each run among the seeds of its setting; nothing where it is alone."""
    agreement: dict[int, dict[str, float]] = {each.number: {} for each in found}
    for members in by_setting(found).values():
        if len(members) < 2:
            continue
        codes = np.stack([each.codes for each in members])
        kl = np.stack([each.kl for each in members])
        for similarity in ("lasso", "spearman"):
            scores = np.asarray(udr(codes, similarity=similarity, kl=kl).scores)
            for each, score in zip(members, scores, strict=True):
                agreement[each.number][f"udr_{similarity}"] = float(score)
    return [
        each._replace(scores=each.scores | agreement[each.number]) for each in found
    ]


def _made_of(sweep: Sweep, evaluation: Evaluation) -> dict[str, Any]:
    """What a run's scores depend on beside what its checkpoints are refused for."""
    return {
        "version": vae_jax.__version__,
        "step": sweep.steps,
        "images": [evaluation.images.source, *evaluation.images.grid.sizes],
        "protocol": dataclasses.asdict(evaluation.protocol),
        "trees": evaluation.trees,
        "empty_maps": _taps(sweep),
    }


def _file(sweep: Sweep, group: Group, number: int) -> Path:
    return group_folder(sweep, group) / "scores" / f"{number}.npz"


def _save(path: Path, scored: Scored, of: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    content: dict[str, Any] = {name: getattr(scored, name) for name in _ARRAYS}
    content |= {"of": json.dumps(of), "scores": json.dumps(scored.scores)}
    # Written beside the old one and moved over it: a kill leaves no half.
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **content)
    unfinished.replace(path)


def _load(
    path: Path, group: Group, number: int, of: Mapping[str, Any]
) -> Scored | None:
    """What was saved, None if that is missing, broken, or made of something else."""
    try:
        # Opened here: of a broken file numpy leaves its own open.
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if json.loads(str(content["of"])) != of:
                return None
            scores = json.loads(str(content["scores"]))
            return Scored(group, number, scores, *(content[name] for name in _ARRAYS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


_ARRAYS = ("kl", "votes", "information", "codes")
"""Fields of `Scored` that are arrays, in their order."""
