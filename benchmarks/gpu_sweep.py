"""A sweep of `experiments.dsprites` as far as the time goes: trained, not scored.

From the same folder the experiment itself goes on, and scores and draws what is done.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import timing
from experiments.disentanglement import runs
from experiments.disentanglement.representation import Evaluation
from experiments.disentanglement.sweep import Group, Sweep
from experiments.dsprites import Config
from vae_jax import factor_images, train
from vae_jax.metrics.disentanglement import STANDARD

Strides = tuple[int, int, int, int, int]
FIGURES = ("factor_vae", "distortion", "rate")


def go_on(config: Config, *, strides: Strides) -> dict[str, Any]:
    """Trains group after group, from checkpoints in the sweep's workdir if any.

    Stopped by SIGTERM it saves its state and returns. `strides` keep every so many-th
    value of the factors of the procedural set.
    """
    sweep = config.sweep
    data = factor_images.procedural_dsprites(strides)
    images = data.every(config.evaluation_strides)
    evaluation = Evaluation(images, STANDARD, config.trees, config.collapse_nats)
    runs.check(sweep, data)
    groups, stopped = {}, False
    for group in sweep.groups():
        start = steps_made(sweep, group)
        failed = {}
        try:
            runs.train_group(sweep, group, data, evaluation)
        except train.Interrupted:
            stopped = True
        except FloatingPointError as error:
            failed = {"failed": str(error)}
        groups[group.name] = summary(sweep, group, start=start) | failed
        if stopped:
            break
    return {
        "steps": sweep.steps,
        "batch_size": sweep.batch_size,
        "evaluated_on": images.grid.size,
        "stopped": stopped,
        "groups": groups,
    }


def steps_made(sweep: Sweep, group: Group) -> int:
    """The step of the latest checkpoint of a group."""
    saved = (runs.group_folder(sweep, group) / "checkpoints").glob("[0-9]*")
    return max((int(path.name) for path in saved if path.name.isdigit()), default=0)


def summary(sweep: Sweep, group: Group, *, start: int) -> dict[str, Any]:
    """How far a group is, how fast it went on after `start`, and its last figures.

    Figures are means over the runs. The speed is that of the log: in steps a second of
    all runs together, without compilation, evaluations and checkpoints.
    """
    found: dict[str, Any] = {
        "runs": len(group.runs),
        "step": steps_made(sweep, group),
    }
    lines = _lines(runs.group_folder(sweep, group) / "metrics.jsonl")
    if seen := [x for x in lines if x["kind"] == "train" and x["step"] > start]:
        found["run_steps_per_second"] = timing.spread(
            [line["examples_per_second"] / sweep.batch_size for line in seen]
        )
    if evaluations := [line for line in lines if line["kind"] == "evaluation"]:
        found["evaluation"] = _means(evaluations[-1])
    return found


def _means(line: Mapping[str, Any]) -> dict[str, float]:
    means = {name: float(np.mean(line[name])) for name in FIGURES}
    return {"step": line["step"], **means}


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]
