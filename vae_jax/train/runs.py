"""Many runs, seeds times hyper-parameters, as the steps of one program.

The state of many runs is a `TrainState` whose leaves have a first axis `run`; only
`step` is one number for all. A step is that of one run under `jax.vmap`, and devices
share the runs out between them without ever talking to each other.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from vae_jax.train.sharding import is_on_cpu, local_copy, replicated
from vae_jax.train.state import Init, TrainState, build_state
from vae_jax.train.step import Hyper, Metrics, TrainStep, repeat

Draw = Callable[[PyTree, PRNGKeyArray], PyTree]

_AXES = TrainState._make([None, 0, 0, 0, 0, 0])  # of `run`, for `jax.vmap`
_SPLIT = PartitionSpec("run")
_SPECS = TrainState._make([PartitionSpec(), *5 * [_SPLIT]])
_DRAW = np.uint32(2**32 - 1)
"""Makes the run key that of the draws: a number that no step has."""


class Drawn(NamedTuple):
    """Where the batches of many runs come from, and in what the runs differ.

    Given to `fit` in the place of host batches, it trains all runs of a state from
    `create_runs` at once. Step k of a run draws with a key of its run key and k alone,
    so a run sees the same batches alone, among others, and resumed.
    """

    draw: Draw
    """`draw(data, key) -> batch` for one run, traced; leaves [batch ...]."""
    data: PyTree
    """What is drawn from; an argument of the compiled program, on every device."""
    hyper: Mapping[str, Float[Array, " run"] | np.ndarray]
    """What the loss function gets as `hyper`, a scalar of each for each run."""
    names: Sequence[str] = ()
    """Of the runs, for messages; by default their places and hyper-parameters."""
    own: PyTree = None
    """What each run alone draws from, leaves [run ...]; `draw` then gets the pair
    (data, own of its run) as its data."""
    loops: bool = False
    """Whether the steps of a dispatch are a loop on CPUs, too, so that an epoch is
    compiled as fast as a step. Not for convolutions, which are slow in a loop there."""

    def labels(self, state: TrainState) -> tuple[str, ...]:
        """A name for each run, by default as "2 (beta = 4, gamma = 10)".

        Raises:
            ValueError: A hyper-parameter is not one number for each run of `state`, or
                there are names, but not one for each.
        """
        if state.key_data.ndim != 2:
            raise ValueError(
                "Drawn: the state must be of runs, got one without the axis; make it "
                "with create_runs, of one key for a single run."
            )
        runs = len(state.key_data)
        for name, values in self.hyper.items():
            if np.shape(values) != (runs,):
                raise ValueError(
                    f"Drawn: hyper must hold one number for each of the {runs} runs, "
                    f"got {name} of shape {np.shape(values)}."
                )
        if self.names:
            if len(self.names) != runs:
                raise ValueError(
                    f"Drawn: names must be one for each of the {runs} runs, got "
                    f"{len(self.names)}."
                )
            return tuple(self.names)
        hyper = {name: np.asarray(values) for name, values in self.hyper.items()}
        tuned = [
            ", ".join(f"{name} = {values[i]:g}" for name, values in hyper.items())
            for i in range(runs)
        ]
        return tuple(
            f"{i} ({text})" if text else f"{i}" for i, text in enumerate(tuned)
        )


def create_runs(
    init: Init,
    optimizer: optax.GradientTransformation,
    *,
    keys: Key[Array, "..."],
    mesh: Mesh,
    ema: bool = False,
) -> TrainState:
    """The states that `create_state` makes from each of `keys` [run], stacked.

    `mesh` is from `runs_mesh`; each device makes and holds its own runs.

    Raises:
        ValueError: `keys` has no axis, or its length does not divide over `mesh`.
    """
    if keys.ndim != 1 or len(keys) % mesh.size:
        raise ValueError(
            "create_runs: keys must be [run] with a multiple of the number of devices, "
            f"{mesh.size}, got shape {keys.shape}; make the mesh with runs_mesh."
        )
    build = functools.partial(build_state, init, optimizer, ema=ema)
    key_data = jax.device_get(jax.random.key_data(keys))
    return jax.jit(jax.vmap(build, out_axes=_AXES), out_shardings=_shardings(mesh))(
        key_data
    )


def one_run(state: TrainState, run: int) -> TrainState:
    """The state of one of many runs, as `create_state` would have begun it."""
    rest = jax.tree.map(lambda x: x[run], state._replace(step=None))
    return rest._replace(step=state.step)


def gather_runs(tree: PyTree, mesh: Mesh) -> PyTree:
    """Leaves [run ...] that devices share out, whole on one device of each process."""
    return local_copy(_replicate(mesh)(tree))


@functools.cache
def _replicate(mesh: Mesh) -> Callable[[PyTree], PyTree]:
    return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))


def jit_runs(
    train_step: TrainStep, draw: Draw, mesh: Mesh, *, loops: bool = False
) -> Callable[..., tuple[TrainState, Metrics]]:
    """Compiles `(number, state, data, hyper, own) -> (state, metrics [step run])`.

    `number` steps of every run are made in one dispatch; the state is donated. On CPU
    the steps are written out unless it `loops`, so that compiling takes as many times
    longer.
    """
    write_out = is_on_cpu(mesh) and not loops

    def step_of_run(state: TrainState, data: PyTree, own: PyTree, hyper: Hyper):
        run_key = jax.random.wrap_key_data(state.key_data)
        key = jax.random.fold_in(jax.random.fold_in(run_key, _DRAW), state.step)
        batch = draw(with_own(data, own), key)
        return train_step(state, batch, hyper)

    step_of_runs = jax.vmap(
        step_of_run, in_axes=(_AXES, None, 0, 0), out_axes=(_AXES, 0)
    )

    def take_steps(number, state, data, hyper, own=None):
        def on_device(state, data, own, hyper):
            return repeat(
                lambda state, _: step_of_runs(state, data, own, hyper),
                state,
                np.arange(number),
                write_out=write_out,
            )

        return jax.shard_map(
            on_device,
            mesh=mesh,
            in_specs=(_SPECS, PartitionSpec(), _SPLIT, _SPLIT),
            out_specs=(_SPECS, PartitionSpec(None, "run")),
            check_vma=False,
        )(state, data, own, hyper)

    return jax.jit(
        take_steps,
        static_argnums=0,
        donate_argnums=1,
        out_shardings=(_shardings(mesh), replicated(mesh)),
    )


def with_own(data: PyTree, own: PyTree) -> PyTree:
    """What a run draws from: `data`, and what it has for itself if there is such."""
    return data if own is None else (data, own)


def _shardings(mesh: Mesh) -> TrainState:
    return jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        _SPECS,
        is_leaf=lambda x: isinstance(x, PartitionSpec),
    )
