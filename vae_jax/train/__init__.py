"""The training loop: state, step, devices, checkpoints; it knows no model or loss."""

from vae_jax.train.checkpoint import Checkpoints
from vae_jax.train.host_memory import keep_freed_memory
from vae_jax.train.interrupt import Interrupted
from vae_jax.train.loop import fit
from vae_jax.train.optimizer import adam, by_part, learning_rate
from vae_jax.train.runs import Drawn, create_runs, gather_runs, one_run
from vae_jax.train.sharding import (
    check_batch_size,
    data_mesh,
    initialize_distributed,
    is_primary,
    local_copy,
    runs_mesh,
)
from vae_jax.train.state import TrainState, create_state
from vae_jax.train.step import Aux, LossFn, TunedLossFn, make_train_step

__all__ = [
    "Aux",
    "Checkpoints",
    "Drawn",
    "Interrupted",
    "LossFn",
    "TrainState",
    "TunedLossFn",
    "adam",
    "by_part",
    "check_batch_size",
    "create_runs",
    "create_state",
    "data_mesh",
    "fit",
    "gather_runs",
    "initialize_distributed",
    "is_primary",
    "keep_freed_memory",
    "learning_rate",
    "local_copy",
    "make_train_step",
    "one_run",
    "runs_mesh",
]
