"""One update of the parameters, and several of them in one dispatch."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from vae_jax.train.sharding import is_on_cpu, replicated, split_batches
from vae_jax.train.state import TrainState

Metrics = dict[str, Array]
Hyper = dict[str, Float[Array, ""]]
TrainStep = Callable[..., tuple[TrainState, Metrics]]
"""`(state, batch)` or `(state, batch, hyper)` to `(state, metrics)`."""


class Aux(NamedTuple):
    """What a loss function returns beside the loss."""

    metrics: Metrics
    """Scalars to log and to watch for NaN."""
    model_state: PyTree
    """The new model state, `{}` where the model has none."""


@runtime_checkable
class LossFn(Protocol):
    """The mean loss over a global batch; where a model meets a loss."""

    def __call__(
        self,
        params: PyTree,
        model_state: PyTree,
        batch: PyTree,
        *,
        key: PRNGKeyArray,
        step: Int[Array, ""],
    ) -> tuple[Float[Array, ""], Aux]:
        """Returns the scalar to minimise, and what goes with it."""
        ...


@runtime_checkable
class TunedLossFn(Protocol):
    """A loss function that takes the hyper-parameters in which runs may differ."""

    def __call__(
        self,
        params: PyTree,
        model_state: PyTree,
        batch: PyTree,
        *,
        key: PRNGKeyArray,
        step: Int[Array, ""],
        hyper: Hyper,
    ) -> tuple[Float[Array, ""], Aux]:
        """Returns the scalar to minimise, and what goes with it."""
        ...


def ema_decay_at(step: Int[Array, ""], *, decay: float) -> Float[Array, ""]:
    """The decay of the `step`-th average, counted from 0: min(decay, (1 + t)/(10 + t)).

    A fixed decay near 1 would keep the random initial values for 1/(1 - decay) steps.
    """
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def make_train_step(
    loss_fn: LossFn | TunedLossFn,
    optimizer: optax.GradientTransformation,
    *,
    ema_decay: float | None = None,
) -> TrainStep:
    """A pure `(state, batch) -> (state, metrics)`, to be jitted by the caller or `fit`.

    With a third argument, a dict of scalars, the loss function gets it as `hyper`. The
    metrics are those of the loss function with `loss` and `grad_norm` (before
    clipping). The key of a step is the run key folded with the step number, so that a
    resumed run draws the same noise.

    Raises:
        ValueError: When traced, if only one of `ema_decay` and `state.ema_params` is
            None.
    """
    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)

    def train_step(
        state: TrainState, batch: PyTree, hyper: Hyper | None = None
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key_data), state.step)
        tuned = {} if hyper is None else {"hyper": hyper}
        (loss, aux), grads = grad_fn(
            state.params, state.model_state, batch, key=key, step=state.step, **tuned
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        state = TrainState(
            step=state.step + 1,
            params=params,
            model_state=aux.model_state,
            opt_state=opt_state,
            ema_params=_average(state, params, decay=ema_decay),
            key_data=state.key_data,
        )
        own = {"loss": loss, "grad_norm": optax.tree.norm(grads)}
        return state, aux.metrics | own

    return train_step


def _average(state: TrainState, params: PyTree, *, decay: float | None) -> PyTree:
    if (decay is None) != (state.ema_params is None):
        raise ValueError(
            "make_train_step: ema_decay must be given exactly if the state was created "
            f"with ema=True, got ema_decay={decay}."
        )
    if decay is None:
        return None
    rate = ema_decay_at(state.step, decay=decay)
    return jax.tree.map(
        lambda old, new: (
            rate.astype(old.dtype) * old + (1 - rate).astype(old.dtype) * new
        ),
        state.ema_params,
        params,
    )


def repeat(
    step: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]],
    state: PyTree,
    batches: PyTree,
    *,
    write_out: bool,
) -> tuple[PyTree, Metrics]:
    """`jax.lax.scan` over `batches`, or the same without a loop in the program.

    XLA's CPU convolutions are 15 times slower inside a loop, even a loop of one.
    """
    if not write_out:
        return jax.lax.scan(step, state, batches)
    found = []
    for i in range(len(jax.tree.leaves(batches)[0])):
        state, metrics = step(state, jax.tree.map(lambda x, i=i: x[i], batches))
        found.append(metrics)
    return state, jax.tree.map(lambda *of_steps: jnp.stack(of_steps), *found)


def jit_steps(train_step: TrainStep, mesh: Mesh) -> TrainStep:
    """Compiles `(state, batches) -> (state, metrics)` for all devices of `mesh`.

    Batch leaves are [steps, batch, ...], metrics [steps]; the steps are made one after
    the other in one dispatch. The state is donated: the one passed in is used up. On
    CPU the steps are written out, so that compiling takes as many times longer.
    """
    write_out = is_on_cpu(mesh)

    def take_steps(state, batches):
        return repeat(train_step, state, batches, write_out=write_out)

    return jax.jit(
        take_steps,
        in_shardings=(replicated(mesh), split_batches(mesh)),
        out_shardings=replicated(mesh),
        donate_argnums=0,
    )
