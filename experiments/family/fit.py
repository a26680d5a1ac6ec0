"""Trains networks on images that lie on the device: all runs at once, epochs whole."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key, PyTree

from experiments.family.settings import Family
from experiments.launch import console
from vae_jax import train
from vae_jax.data import image_sets
from vae_jax.train.loop import Evaluate

CHUNK = 1000
Draw = Callable[[PyTree, Array], PyTree]


class Trained(NamedTuple):
    """Networks, and how they came to be."""

    params: PyTree
    """Leaves [run ...], on one device."""
    model_state: PyTree
    """Leaves [run ...]."""
    history: list[dict[str, Any]]
    """A line an evaluation: "step", and figures that are lists, one for each run."""

    def variables(self, run: int) -> dict[str, PyTree]:
        """Of one network, as `apply` takes them."""
        params, state = jax.tree.map(lambda x: x[run], (self.params, self.model_state))
        return {"params": params, **state}


def load(family: Family) -> image_sets.ImageSet:
    """The images of a run, with a bar of progress."""
    with console.progress_bar("reading images") as progress:
        return image_sets.load(family.dataset, family.data_dir, progress=progress)


def make_draw(batch_size: int, *, binarise: bool = False) -> Draw:
    """`draw(data, key)` of batches from `data`, whose leaves are [example ...].

    "image" is of 8 bits in `data` and in [0, 1] in a batch; binarised, each pixel is
    one with its gray value as the probability, anew in every batch.
    """

    def draw(data: Mapping[str, Array], key: Array) -> dict[str, Array]:
        place_key, pixel_key = jax.random.split(key)
        count = len(data["image"])
        places = jax.random.randint(place_key, (batch_size,), 0, count)
        batch = {name: values[places] for name, values in data.items()}
        images = batch["image"].astype(jnp.float32) / 255
        if binarise:
            ones = jax.random.bernoulli(pixel_key, images)
            images = ones.astype(jnp.float32)
        return {**batch, "image": images}

    return draw


def seed_keys(seeds: Sequence[int]) -> Key[Array, " run"]:
    """A run key of each seed."""
    return jax.vmap(jax.random.key)(jnp.asarray(seeds))


def train_runs(
    folder: Path,
    loss_fn: train.LossFn | train.TunedLossFn,
    init: Callable[[Array], tuple[PyTree, PyTree]],
    data: PyTree,
    *,
    family: Family,
    draw: Draw,
    epoch_steps: int,
    identity: Mapping[str, Any],
    seeds: Sequence[int] | None = None,
    hyper: Mapping[str, np.ndarray] | None = None,
    own: PyTree = None,
    names: Sequence[str] = (),
    optimizer: optax.GradientTransformation | None = None,
    evaluate: Evaluate | None = None,
    epochs_per_evaluation: int = 1,
    loops: bool = True,
    ema: bool = False,
) -> Trained:
    """Trains, or goes on training, all runs; an epoch is one dispatch if it `loops`.

    Args:
        folder: Of the checkpoints and metrics of these runs alone.
        loss_fn: With `hyper` if `hyper` is given.
        init: Key to (params, model_state) of one run.
        data: What is drawn from, on every device.
        family: Epochs, learning rate, and seeds if none are given.
        draw: `draw(data, key)` to a batch.
        epoch_steps: Batches of an epoch.
        identity: What a checkpoint must be of to be gone on with, as JSON.
        seeds: One for each run.
        hyper: A number for each run, by name.
        own: What each run alone draws from, see `train.Drawn`.
        names: Of the runs, for messages.
        optimizer: By default Adam.
        evaluate: Figures [run] of a state, every few epochs.
        epochs_per_evaluation: How few.
        loops: Not with convolutions, see `train.Drawn`.
        ema: Whether averaged parameters are kept, and returned.
    """
    if hyper is None:
        loss_fn = _without_hyper(loss_fn)
    seeds = family.all_seeds if seeds is None else seeds
    optimizer = optimizer or train.adam(family.learning_rate)
    mesh = train.runs_mesh(len(seeds))
    state = train.create_runs(
        init, optimizer, keys=seed_keys(seeds), mesh=mesh, ema=ema
    )
    step = train.make_train_step(loss_fn, optimizer, ema_decay=0.999 if ema else None)
    drawn = train.Drawn(draw, data, hyper or {}, names, own, loops)
    identity = {**identity, "seeds": list(map(int, seeds)), **_identity(family)}
    every = epochs_per_evaluation * epoch_steps
    with train.Checkpoints(folder, config=identity, may_change=("epochs",)) as saved:
        state = train.fit(
            state,
            step,
            drawn,
            steps=family.epochs * epoch_steps,
            mesh=mesh,
            checkpoints=saved,
            evaluate=evaluate,
            steps_per_call=epoch_steps if loops else 1,
            log_every=epoch_steps,
            evaluate_every=every,
            checkpoint_every=every,
        )
    params, model_state = train.gather_runs(
        (state.eval_params, state.model_state), mesh
    )
    return Trained(params, model_state, _history(folder))


def in_chunks(function: Callable[[Array], PyTree], rows: np.ndarray) -> PyTree:
    """What a compiled function makes of many rows, on the host, joined along the first.

    A thousand at a time, the last filled up, so that one program does for all.
    """
    parts = []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        missing = np.zeros((CHUNK - len(part), *rows.shape[1:]), rows.dtype)
        found = function(jnp.asarray(np.concatenate([part, missing])))
        parts.append(_first(jax.device_get(found), len(part)))
    return jax.tree.map(lambda *each: np.concatenate(each), *parts)


def _without_hyper(loss_fn: Callable[..., Any]) -> train.TunedLossFn:
    """Of runs that differ by their seeds alone."""

    def tuned(*args, hyper, **given):
        del hyper
        return loss_fn(*args, **given)

    return tuned


def _first(tree: PyTree, count: int) -> PyTree:
    return jax.tree.map(lambda x: x[:count], tree)


def _identity(family: Family) -> dict[str, Any]:
    kept = ("batch_size", "learning_rate", "epochs")
    return {name: getattr(family, name) for name in kept}


def _history(folder: Path) -> list[dict[str, Any]]:
    file = folder / "metrics.jsonl"
    if not file.exists():  # of another process
        return []
    lines = map(json.loads, file.read_text().splitlines())
    return [line for line in lines if line["kind"] == "evaluation"]
