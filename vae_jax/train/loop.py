"""The training loop: dispatch, log, evaluate, save, stop; the same for every model."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree

from vae_jax.train.checkpoint import Checkpoints
from vae_jax.train.interrupt import Interrupted, watch_for_interruption
from vae_jax.train.progress import Display
from vae_jax.train.recorder import Recorder
from vae_jax.train.sharding import check_batch_size, is_primary, put_batches
from vae_jax.train.state import TrainState
from vae_jax.train.step import Metrics, TrainStep, jit_steps

Batches = Callable[[int], Iterator[PyTree]]
Evaluate = Callable[[TrainState], Mapping[str, float]]

_IN_FLIGHT = 2  # dispatches the host may be ahead of the device


def fit(
    state: TrainState,
    train_step: TrainStep,
    batches: Batches,
    *,
    steps: int,
    mesh: Mesh,
    checkpoints: Checkpoints | None = None,
    evaluate: Evaluate | None = None,
    steps_per_call: int = 1,
    log_every: int = 50,
    evaluate_every: int = 1000,
    checkpoint_every: int = 1000,
) -> TrainState:
    """Trains until `steps` updates are made, from the latest checkpoint if any.

    Args:
        state: The initial state. It is donated: use the returned one.
        train_step: `(state, batch) -> (state, metrics)`, from `make_train_step`.
        batches: `batches(start)` iterates over the batches of this process from index
            `start` on; batch k, always the same, is used by the k-th step from 0.
            Leaves are numpy [local batch, ...].
        steps: Length of the run.
        mesh: The devices, from `data_mesh`.
        checkpoints: Where the run is saved, and in whose workdir it is logged. None
            writes nothing.
        evaluate: Figures of a state, the same in every process. Called every
            `evaluate_every` steps and at the end, followed by a checkpoint.
        steps_per_call: Steps in one dispatch; for models so small that dispatching
            takes longer than computing. On CPU it multiplies the time to compile.
        log_every: Steps between log lines; a line holds the metrics of its own step.
        evaluate_every: Steps between evaluations.
        checkpoint_every: Steps between checkpoints.

    Raises:
        Interrupted: After SIGTERM or Ctrl-C, when the state is saved (a SystemExit with
            code 143 or 130). Not without `checkpoints`.
        FloatingPointError: A metric was not finite; names the step and the metrics.
        ValueError: A number of steps is not positive, the batch size does not divide
            over the devices, the batches ended early, or the checkpoint is of another
            configuration.
        OSError: A checkpoint could not be written.
    """
    _require_positive(
        steps_per_call=steps_per_call,
        log_every=log_every,
        evaluate_every=evaluate_every,
        checkpoint_every=checkpoint_every,
    )
    if checkpoints and (saved := checkpoints.restore(state)) is not None:
        state = saved
    start = int(state.step)
    if start > steps:
        raise ValueError(
            f"fit: steps must not be less than those already made, got {steps} with a "
            f"checkpoint of step {start}."
        )
    with contextlib.ExitStack() as stack:
        journal = _open_journal(stack, checkpoints, start, steps, log_every=log_every)
        watch = watch_for_interruption() if checkpoints else contextlib.nullcontext()
        interrupted = stack.enter_context(watch) or (lambda: None)
        take_steps = jit_steps(train_step, mesh)
        source = _Source(batches(start), mesh)
        every = [evaluate_every, checkpoint_every] if evaluate else [checkpoint_every]
        last, received = start, None
        for first, last in _dispatches(start, steps, steps_per_call, every):
            inputs = source.take(last - first, at=first)
            state, metrics = take_steps(state, inputs)
            journal.add(last, metrics, batch_size=source.batch_size)
            received = interrupted()
            evaluating = evaluate and (last % evaluate_every == 0 or last == steps)
            saving = last % checkpoint_every == 0 or last == steps
            if not (received or evaluating or saving):
                continue
            journal.settle()
            figures = evaluate(state) if evaluate and evaluating else None
            journal.record_evaluation(last, figures)
            if checkpoints:
                checkpoints.save(state, figures=figures)
            if received:
                break
        if checkpoints:
            checkpoints.wait()
            # Again: for a signal during the last evaluation or save.
            if received := received or interrupted():
                stopped = Interrupted(received, last)
                journal.say(str(stopped))
                raise stopped
    return state


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(
                f"fit: {name} must be at least 1 step, got {number}; a number beyond "
                "the last step is never reached."
            )


def _open_journal(
    stack: contextlib.ExitStack,
    checkpoints: Checkpoints | None,
    start: int,
    steps: int,
    *,
    log_every: int,
) -> "_Journal":
    display = Display(start_step=start, steps=steps, enabled=is_primary())
    stack.enter_context(display)
    if start:
        display.say(f"continuing after step {start} of {steps}")
    recorder = None
    if checkpoints and is_primary():
        recorder = Recorder(checkpoints.workdir, start_step=start)
        stack.callback(recorder.close)
    return _Journal(start, display, recorder, log_every=log_every)


def _dispatches(
    start: int, steps: int, per_call: int, every: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """Cuts start..steps into dispatches, at the same places wherever a run starts.

    Each ends at the next multiple of `per_call`, or before it where something is due.
    """
    while start < steps:
        end = min(steps, *(start // n * n + n for n in (per_call, *every)))
        yield start, end
        start = end


class _Source:
    """Host batches put on the devices, several at a time, while the devices work."""

    def __init__(self, batches: Iterator[PyTree], mesh: Mesh):
        self._batches, self._mesh = batches, mesh
        self.batch_size = 0

    def take(self, number: int, *, at: int) -> PyTree:
        """The next batches as [number, batch, ...]; `at` is the index of the first."""
        taken = list(itertools.islice(self._batches, number))
        if len(taken) < number:
            raise ValueError(
                f"fit: batches must not end before the last step, got none for step "
                f"{at + len(taken) + 1}."
            )
        if not self.batch_size:
            local = len(jax.tree.leaves(taken[0])[0])
            check_batch_size(local * jax.process_count(), self._mesh)
            self.batch_size = local * jax.process_count()
        return put_batches(taken, self._mesh)


class _Journal:
    """Metrics on their way from the devices to the log, and the NaN tripwire.

    Metrics stay on the devices until a line is due, and are read only of dispatches
    that the devices have left behind: reading them never makes a device wait.
    """

    def __init__(
        self, start: int, display: Display, recorder: Recorder | None, *, log_every: int
    ):
        self._display, self._recorder, self._log_every = display, recorder, log_every
        self._start = self._settled = start
        self._pending: list[tuple[int, Metrics]] = []
        self._batch_size = 0

    def add(self, step: int, metrics: Metrics, *, batch_size: int) -> None:
        """Takes the metrics [steps] of the dispatch that ended with `step`."""
        if not self._batch_size:  # the first call compiled; it says nothing of the rate
            self._batch_size = batch_size
            self._display.pause(self._start)
        self._pending.append((step, metrics))
        if len(self._pending) > _IN_FLIGHT:
            # Waiting for an old dispatch bounds how many inputs lie on the devices.
            done, its_metrics = self._pending[-1 - _IN_FLIGHT]
            jax.block_until_ready(its_metrics)
            if done // self._log_every > self._settled // self._log_every:
                self.settle(leave=_IN_FLIGHT)

    def settle(self, *, leave: int = 0) -> None:
        """Reads all but the last `leave` dispatches, checks every step, logs some."""
        done = self._pending[: len(self._pending) - leave]
        self._pending = self._pending[len(done) :]
        for step, metrics in jax.device_get(done):
            number = len(metrics["loss"])
            for i, at in enumerate(range(step - number + 1, step + 1)):
                self._settle_step(at, {n: np.float32(m[i]) for n, m in metrics.items()})
            self._settled = step

    def _settle_step(self, step: int, metrics: Mapping[str, np.float32]) -> None:
        wrong = [f"{n} = {m}" for n, m in metrics.items() if not math.isfinite(m)]
        if wrong:
            raise FloatingPointError(
                f"fit: every metric must be finite, got {', '.join(wrong)} at step "
                f"{step}; nothing later is saved. Look for NaN in batch {step - 1}, "
                "lower the learning rate or clip the gradient."
            )
        if step % self._log_every == 0:
            names = sorted(metrics, key=lambda name: (name != "loss", name))
            figures = {name: float(metrics[name]) for name in names}
            times = self._display.train(
                step, figures, examples_per_step=self._batch_size
            )
            if self._recorder:
                self._recorder.write("train", step, figures, times=times)

    def say(self, text: str) -> None:
        """Shows a line to the person who watches."""
        self._display.say(text)

    def record_evaluation(self, step: int, figures: Mapping[str, float] | None) -> None:
        """Logs the figures, if any; all lines reach the system before a checkpoint."""
        if figures is not None:
            self._display.evaluation(step, figures)
            if self._recorder:
                self._recorder.write("evaluation", step, figures)
        if self._recorder:
            self._recorder.flush()
        self._display.pause(step)
