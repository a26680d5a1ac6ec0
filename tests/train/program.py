"""A tiny run with everything that training has to carry over, also as a program.

python program.py WORKDIR --steps 300
"""

import argparse
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import train

BATCH = 16


def init(key):
    """A network with one hidden layer, and a running mean of its features."""
    first, second = jax.random.split(key)
    params = {
        "hidden": 0.5 * jax.random.normal(first, (4, 32)),
        "out": 0.2 * jax.random.normal(second, (32, 2)),
    }
    return params, {"mean": jnp.zeros(32)}


def loss_fn(params, model_state, batch, *, key, step):
    """Regression on noisy inputs; the features are centred over the global batch."""
    noise = 0.1 * jax.random.normal(key, batch["inputs"].shape)
    features = jnp.tanh((batch["inputs"] + noise) @ params["hidden"])
    mean = jnp.mean(features, axis=0)
    error = (features - mean[None]) @ params["out"] - batch["targets"]
    squared = jnp.mean(jnp.square(error))
    penalty = 1e-3 * jnp.sum(jnp.square(params["out"]))
    metrics = {"squared": squared, "penalty": penalty}
    model_state = {"mean": 0.9 * model_state["mean"] + 0.1 * mean}
    return squared + penalty, train.Aux(metrics, model_state)


def batches(start, *, pause=0.0):
    """Batch k of this process, a function of k alone."""
    k = start
    share = BATCH // jax.process_count()
    rows = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
    while True:
        time.sleep(pause)
        inputs = np.random.default_rng(k).normal(size=(BATCH, 4)).astype(np.float32)
        yield {"inputs": inputs[rows], "targets": np.sin(inputs[rows, :2])}
        k += 1


def optimizer():
    """Adam with every feature of ours that has a state or a schedule."""
    rate = train.learning_rate(1e-2, steps=1000, warmup_steps=10, schedule="cosine")
    return train.adam(rate, clip_norm=1.0)


def new_state(mesh, **changes):
    """The initial state; the same wherever it is made."""
    key = jax.random.key(0)
    return train.create_state(init, optimizer(), key=key, mesh=mesh, **changes)


def train_step():
    """The step of this run."""
    return train.make_train_step(loss_fn, optimizer(), ema_decay=0.99)


def evaluate(state):
    """A figure that moves up and down as training goes on."""
    return {"size": float(jnp.sum(state.eval_params["out"]))}


def main():
    """Trains in WORKDIR and leaves the final leaves in final.npz."""
    # tensorboardX imports torch where that is installed: seconds in every process.
    sys.modules["torch"] = None
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--steps-per-call", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--coordinator-address")
    parser.add_argument("--num-processes", type=int)
    parser.add_argument("--process-id", type=int)
    flags = parser.parse_args()
    if flags.coordinator_address:
        train.initialize_distributed(
            coordinator_address=flags.coordinator_address,
            num_processes=flags.num_processes,
            process_id=flags.process_id,
        )
    mesh = train.data_mesh()
    config = {"batch": BATCH}
    with train.Checkpoints(flags.workdir, config=config, best_by="size") as checkpoints:
        state = train.fit(
            new_state(mesh),
            train_step(),
            lambda start: batches(start, pause=flags.pause),
            steps=flags.steps,
            mesh=mesh,
            checkpoints=checkpoints,
            evaluate=evaluate,
            steps_per_call=flags.steps_per_call,
            log_every=1,
            evaluate_every=40,
            checkpoint_every=20,
        )
    if train.is_primary():
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
        np.savez(flags.workdir / "final.npz", *leaves)


if __name__ == "__main__":
    main()
