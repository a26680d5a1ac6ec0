"""Trains the runs of a sweep, a group as one program: objective meets network, data."""

import functools
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from experiments.disentanglement.representation import (
    Evaluation,
    brief_figures,
    represent,
)
from experiments.disentanglement.sweep import ATTENTION, Group, Run, Sweep, run_name
from experiments.launch.console import say
from vae_jax import attention, models, train
from vae_jax.factor_images import FactorImages
from vae_jax.metrics.latents import collapse_message
from vae_jax.objectives import (
    DIPVAE,
    AnnealedVAE,
    AttentionTerm,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    InfoVAE,
    Objective,
    default_hyper,
    init_params,
    make_loss_fn,
)
from vae_jax.spelling import did_you_mean

MAP_RULES = {
    "paper": attention.PAPER,
    # Of its disentangling runs; its anomaly maps, `attention.REPRO2021`, are others.
    "repro2021": attention.Rule(rectify_at="channel", resize="bilinear_aligned"),
}
_SHARED = (
    "network",
    "latents",
    "learning_rate",
    "batch_size",
    "annealing_steps",
    "estimator",
    "second_batch",
    "discriminator_layers",
    "discriminator_width",
    "discriminator_learning_rate",
    "pairs",
    "map_rule",
    "map_size",
    "second_order",
)
"""Fields of a sweep that the numbers of every run may depend on."""


class Trained(NamedTuple):
    """The networks of a group, and how they came to be."""

    group: Group
    model: models.VAE
    params: PyTree
    """Of the VAEs, leaves [run ...]."""
    history: list[dict[str, Any]]
    """A line an evaluation: "step", and figures that are lists, one for each run."""

    def params_of(self, run: int) -> PyTree:
        """Of one network."""
        return _of_run(self.params, run)


def group_folder(sweep: Sweep, group: Group) -> Path:
    """Where a group has its checkpoints, metrics and scores."""
    return sweep.folder / "runs" / group.name.replace(" ", "-")


def check(sweep: Sweep, data: FactorImages) -> None:
    """Raises a ValueError for what would fail only when its group is trained."""
    model = build_model(sweep, data)
    initialise = functools.partial(models.init, model)
    variables = jax.eval_shape(initialise, key=jax.random.key(0))
    known = attention.taps(model, variables, model.image_shape)
    maps = [name for name, shape in known.items() if len(shape) == 3]
    wanted = {group.tap for group in sweep.groups() if group.tap is not None}
    if missing := sorted(wanted - set(maps)):
        raise ValueError(
            f"--taps: there is no {missing[0]!r}{did_you_mean(missing[0], maps)} "
            f"Taps of this network: {', '.join(maps)}."
        )
    for group in sweep.groups():
        train.runs_mesh(len(group.runs))
    is_annealed = any("annealed-vae" in each for each in sweep.objectives)
    if is_annealed and sweep.steps < sweep.annealing_steps:
        share = sweep.steps / sweep.annealing_steps
        say(
            f"annealed-vae: after {sweep.steps} of {sweep.annealing_steps} "
            f"--annealing-steps the capacity is at {share:.1%} of its value."
        )


def train_group(
    sweep: Sweep, group: Group, data: FactorImages, evaluation: Evaluation
) -> Trained:
    """Trains, or goes on training, all runs of a group at once.

    Batches are drawn from `data`.
    """
    model = build_model(sweep, data)
    objective = build_objective(sweep, group, model, dataset_size=data.grid.size)
    term = None
    if group.tap is not None:
        term = AttentionTerm(
            tap=group.tap,
            pairs=sweep.pairs,
            rule=MAP_RULES[sweep.map_rule],
            resolution=sweep.map_size,
            second_order=sweep.second_order,
        )
    optimizer = _optimizer(sweep, objective)
    mesh = train.runs_mesh(len(group.runs))
    state = train.create_runs(
        lambda key: (init_params(model, objective, key=key), {}),
        optimizer,
        keys=jax.vmap(jax.random.key)(jnp.array([run.seed for run in group.runs])),
        mesh=mesh,
    )
    loss_fn = make_loss_fn(model, objective, attention_term=term)
    if mesh.size < (devices := len(jax.devices())):
        say(f"{len(group.runs)} runs divide over {mesh.size} of {devices} devices.")

    def vaes(state: train.TrainState) -> PyTree:
        return train.gather_runs(state.params["vae"], mesh)

    folder = group_folder(sweep, group)
    every = math.ceil(sweep.steps / sweep.evaluations)
    with train.Checkpoints(folder, config=_identity(sweep, group, data)) as checkpoints:
        state = train.fit(
            state,
            train.make_train_step(loss_fn, optimizer),
            train.Drawn(
                functools.partial(_draw, objective, sweep.batch_size),
                data,
                _hyper(group, objective, term),
                [run_name(run) for run in group.runs],
            ),
            steps=sweep.steps,
            mesh=mesh,
            checkpoints=checkpoints,
            evaluate=lambda state: _figures(model, vaes(state), evaluation),
            steps_per_call=sweep.steps_per_call,
            evaluate_every=every,
            checkpoint_every=every,
        )
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    history = [line for line in map(json.loads, lines) if line["kind"] == "evaluation"]
    return Trained(group, model, vaes(state), history)


def build_model(sweep: Sweep, data: FactorImages) -> models.VAE:
    """The network of the sweep, for the images of the data.

    Raises:
        ValueError: They are not of the network's size.
    """
    shape = jax.eval_shape(data.images, jax.ShapeDtypeStruct((1,), jnp.int32)).shape[1:]
    match sweep.network:
        case "locatello":
            build = models.locatello_vae
        case "burgess":
            build = models.burgess_vae
        case "kim":
            build = models.kim_vae
        case "repro2021":
            build = models.repro2021_vae
    model = build(image_channels=shape[-1], latents=sweep.latents)
    if model.image_shape != shape:
        raise ValueError(
            f"--network {sweep.network} wants images of shape {model.image_shape}, got "
            f"{shape}."
        )
    return model


def build_objective(
    sweep: Sweep, group: Group, model: models.VAE, *, dataset_size: int
) -> Objective:
    """The objective of a group, without its attention loss and its weights.

    A discriminator starts as the network does.
    """
    match group.objective.removeprefix(ATTENTION):
        case "vae" | "beta-vae":
            return BetaVAE()
        case "annealed-vae":
            return AnnealedVAE(sweep.annealing_steps)
        case "beta-tcvae":
            return BetaTCVAE(dataset_size, sweep.estimator)
        case "factor-vae":
            discriminator = models.Discriminator(
                sweep.discriminator_layers,
                sweep.discriminator_width,
                model.encoder.scheme,
            )
            return FactorVAE(discriminator, sweep.second_batch)
        case "dip-vae-i":
            return DIPVAE("i")
        case "dip-vae-ii":
            return DIPVAE("ii")
        case "info-vae":
            return InfoVAE()
        case unknown:
            raise ValueError(f"build_objective: there is no {unknown!r}.")


def _hyper(
    group: Group, objective: Objective, term: AttentionTerm | None
) -> dict[str, np.ndarray]:
    """What the loss function reads of each run: its own values, else the published."""
    usual = default_hyper(objective, term)
    if group.objective.removeprefix(ATTENTION) == "vae":
        usual["beta"] = 1.0
    runs = [usual | _loss_values(run, usual) for run in group.runs]
    return {name: np.array([run[name] for run in runs], np.float32) for name in usual}


def _loss_values(run: Run, usual: dict[str, float]) -> dict[str, float]:
    """The values of a run by the names that the loss function has for them."""
    found = {}
    for name, value in run.values.items():
        match name:
            case "tc_beta":
                found["beta"] = value
            case "mmd":
                found["lambda"] = value
            case "off_diagonal":
                ratio = usual["diagonal"] / usual["off_diagonal"]
                found |= {"off_diagonal": value, "diagonal": ratio * value}
            case _:
                found[name] = value
    return found


def _optimizer(sweep: Sweep, objective: Objective) -> optax.GradientTransformation:
    """Adam for the VAE; for a discriminator that of Kim and Mnih 2018."""
    parts = {"vae": train.adam(sweep.learning_rate)}
    if isinstance(objective, FactorVAE):
        rate = sweep.discriminator_learning_rate
        parts["discriminator"] = train.adam(rate, betas=(0.5, 0.9))
    return train.by_part(parts)


def _draw(
    objective: Objective, batch_size: int, data: FactorImages, key: Array
) -> dict[str, Array]:
    first, second = jax.random.split(key)
    batch = {"image": data.sample(first, batch_size)[0]}
    if isinstance(objective, FactorVAE) and objective.second_batch == "independent":
        batch["second_image"] = data.sample(second, batch_size)[0]
    return batch


def _identity(sweep: Sweep, group: Group, data: FactorImages) -> dict[str, Any]:
    """What a checkpoint must be of to be gone on with."""
    return {
        "objective": group.objective,
        "tap": group.tap,
        "runs": [{"seed": run.seed, **run.values} for run in group.runs],
        "network": {name: getattr(sweep, name) for name in _SHARED},
        "data": {"source": data.source, "sizes": list(data.grid.sizes)},
    }


def _of_run(params: PyTree, run: int) -> PyTree:
    return jax.tree.map(lambda x: x[run], params)


def _figures(
    model: models.VAE, params: PyTree, evaluation: Evaluation
) -> dict[str, np.ndarray]:
    """Of each run, for the curves over training; says how many have collapsed."""
    runs = len(jax.tree.leaves(params)[0])
    encoded = (
        represent(model, _of_run(params, i), evaluation.images) for i in range(runs)
    )
    rows = [brief_figures(each, evaluation) for each in encoded]
    nats = evaluation.collapse_nats
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    collapses = [collapse_message(kl, threshold_nats=nats) for kl in found["kl"]]
    if collapsed := sum(message is not None for message in collapses):
        say(f"{collapsed} of {runs} runs: no latent has a KL of {nats:g} nats (yet)")
    return found
