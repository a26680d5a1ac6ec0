"""The training loop: state, step, devices, checkpoints; it knows no model or loss."""

from vae_jax.train.checkpoint import Checkpoints
from vae_jax.train.interrupt import Interrupted
from vae_jax.train.loop import fit
from vae_jax.train.optimizer import adam, learning_rate
from vae_jax.train.sharding import (
    check_batch_size,
    data_mesh,
    initialize_distributed,
    is_primary,
    local_copy,
)
from vae_jax.train.state import TrainState, create_state
from vae_jax.train.step import Aux, LossFn, make_train_step

__all__ = [
    "Aux",
    "Checkpoints",
    "Interrupted",
    "LossFn",
    "TrainState",
    "adam",
    "check_batch_size",
    "create_state",
    "data_mesh",
    "fit",
    "initialize_distributed",
    "is_primary",
    "learning_rate",
    "local_copy",
    "make_train_step",
]
