"""Where the steps of one dispatch get their batches from: the host, or a draw."""

import itertools
from collections.abc import Callable, Iterator

import jax
from jax.sharding import Mesh
from jaxtyping import PyTree

from vae_jax.train.runs import Drawn, jit_runs, with_own
from vae_jax.train.sharding import check_batch_size, put_batches, replicated, split_runs
from vae_jax.train.state import TrainState
from vae_jax.train.step import Metrics, TrainStep, jit_steps

Batches = Callable[[int], Iterator[PyTree]]


class HostInputs:
    """Host batches put on the devices, several at a time, while the devices work."""

    def __init__(self, batches: Iterator[PyTree], train_step: TrainStep, mesh: Mesh):
        self._batches, self._mesh = batches, mesh
        self._take_steps = jit_steps(train_step, mesh)
        self.examples_per_step = 0

    def advance(
        self, state: TrainState, first: int, last: int
    ) -> tuple[TrainState, Metrics]:
        """The state after step `last`, from that after `first`; metrics [step]."""
        return self._take_steps(state, self._take(last - first, at=first))

    def _take(self, number: int, *, at: int) -> PyTree:
        """The next batches as [number, batch, ...]; `at` is the index of the first."""
        taken = list(itertools.islice(self._batches, number))
        if len(taken) < number:
            raise ValueError(
                f"fit: batches must not end before the last step, got none for step "
                f"{at + len(taken) + 1}."
            )
        if not self.examples_per_step:
            local = len(jax.tree.leaves(taken[0])[0])
            check_batch_size(local * jax.process_count(), self._mesh)
            self.examples_per_step = local * jax.process_count()
        return put_batches(taken, self._mesh)


class DrawnInputs:
    """Batches drawn on the devices, for each run its own; the host only dispatches."""

    def __init__(self, drawn: Drawn, train_step: TrainStep, mesh: Mesh, *, runs: int):
        self._take_steps = jit_runs(train_step, drawn.draw, mesh, loops=drawn.loops)
        self._data = jax.device_put(drawn.data, replicated(mesh))
        self._hyper = jax.device_put(dict(drawn.hyper), split_runs(mesh))
        self._own = jax.device_put(drawn.own, split_runs(mesh))
        of_one = jax.tree.map(lambda x: x[0], drawn.own)
        data = with_own(drawn.data, of_one)
        batch = jax.eval_shape(drawn.draw, data, jax.random.key(0))
        self.examples_per_step = runs * len(jax.tree.leaves(batch)[0])

    def advance(
        self, state: TrainState, first: int, last: int
    ) -> tuple[TrainState, Metrics]:
        """The state after step `last`, from that after `first`; metrics [step run]."""
        return self._take_steps(last - first, state, self._data, self._hyper, self._own)
