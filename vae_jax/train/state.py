"""What a training run carries from one step to the next."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Int, PRNGKeyArray, PyTree, UInt32

from vae_jax.train.sharding import replicated

Init = Callable[[PRNGKeyArray], tuple[PyTree, PyTree]]


class TrainState(NamedTuple):
    """Everything a step reads and writes; a checkpoint is this and the configuration.

    `step` counts the updates made, so it is also the index of the next batch.
    `model_state` is what the forward pass updates (batch statistics), or `{}`.
    `ema_params` is None where no average is kept.
    `key_data` is the run key as plain integers: a typed key array can be neither
    placed on the devices of several processes nor relied upon in old checkpoints.
    """

    step: Int[Array, ""]
    params: PyTree
    model_state: PyTree
    opt_state: PyTree
    ema_params: PyTree
    key_data: UInt32[Array, " words"]

    @property
    def eval_params(self) -> PyTree:
        """The averaged parameters where they are kept, else the parameters."""
        return self.params if self.ema_params is None else self.ema_params


def create_state(
    init: Init,
    optimizer: optax.GradientTransformation,
    *,
    key: PRNGKeyArray,
    mesh: Mesh,
    ema: bool = True,
) -> TrainState:
    """The state before the first step, made on all devices of `mesh` at once.

    `init(key)` returns `(params, model_state)`; it is traced, never run eagerly.
    """
    build = functools.partial(build_state, init, optimizer, ema=ema)
    # numpy: every process hands over the same numbers, on no device in particular.
    key_data = jax.device_get(jax.random.key_data(key))
    return jax.jit(build, out_shardings=replicated(mesh))(key_data)


def build_state(
    init: Init,
    optimizer: optax.GradientTransformation,
    key_data: UInt32[Array, " words"],
    *,
    ema: bool,
) -> TrainState:
    """The state before the first step, to be traced."""
    init_key, run_key = jax.random.split(jax.random.wrap_key_data(key_data))
    params, model_state = init(init_key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=optimizer.init(params),
        ema_params=params if ema else None,
        key_data=jax.random.key_data(run_key),
    )
