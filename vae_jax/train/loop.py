"""The training loop: dispatch, log, evaluate, save, stop; the same for every model."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from vae_jax.train.checkpoint import Checkpoints
from vae_jax.train.dispatch import Batches, DrawnInputs, HostInputs
from vae_jax.train.interrupt import Interrupted, watch_for_interruption
from vae_jax.train.journal import Journal
from vae_jax.train.progress import Display
from vae_jax.train.recorder import Recorder
from vae_jax.train.runs import Drawn
from vae_jax.train.sharding import is_on_cpu, is_primary
from vae_jax.train.state import TrainState
from vae_jax.train.step import TrainStep

Figure = float | np.ndarray | Float[Array, " run"]
Evaluate = Callable[[TrainState], Mapping[str, Figure]]


def fit(
    state: TrainState,
    train_step: TrainStep,
    batches: Batches | Drawn,
    *,
    steps: int,
    mesh: Mesh,
    checkpoints: Checkpoints | None = None,
    evaluate: Evaluate | None = None,
    steps_per_call: int = 1,
    log_every: int = 50,
    evaluate_every: int = 1000,
    checkpoint_every: int = 1000,
    progress: bool = True,
) -> TrainState:
    """Trains until `steps` updates are made, from the latest checkpoint if any.

    Args:
        state: The initial state. It is donated: use the returned one.
        train_step: `(state, batch) -> (state, metrics)`, from `make_train_step`.
        batches: `batches(start)` iterates over the batches of this process from index
            `start` on; batch k, always the same, is used by the k-th step from 0.
            Leaves are numpy [local batch, ...]. Or `Drawn`: the steps of many runs
            are made at once, `state` is from `create_runs`, and metrics and figures
            are [run].
        steps: Length of the run.
        mesh: The devices, from `data_mesh`; from `runs_mesh` for many runs.
        checkpoints: Where the run is saved, and in whose workdir it is logged. None
            writes nothing.
        evaluate: Figures of a state, the same in every process. Called every
            `evaluate_every` steps and at the end, followed by a checkpoint.
        steps_per_call: Steps in one dispatch; for models so small that dispatching
            takes longer than computing. On CPU it multiplies the time to compile,
            unless `Drawn` loops.
        log_every: Steps between log lines; a line holds the metrics of its own step.
        evaluate_every: Steps between evaluations.
        checkpoint_every: Steps between checkpoints.
        progress: Whether the first process tells steps and figures on stderr.

    Raises:
        Interrupted: After SIGTERM or Ctrl-C, when the state is saved (a SystemExit with
            code 143 or 130). Not without `checkpoints`.
        FloatingPointError: A metric was not finite; names the step, the metrics and,
            of many, the runs.
        ValueError: A number of steps is not positive, the batch size or the number of
            runs does not divide over the devices, the batches ended early, a
            hyper-parameter is not one for each run, or the checkpoint is of another
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
    labels = batches.labels(state) if isinstance(batches, Drawn) else ()
    with contextlib.ExitStack() as stack:
        journal = _open_journal(
            stack,
            checkpoints,
            start,
            steps,
            mesh,
            log_every=log_every,
            runs=labels,
            progress=progress,
        )
        watch = watch_for_interruption() if checkpoints else contextlib.nullcontext()
        interrupted = stack.enter_context(watch) or (lambda: None)
        if isinstance(batches, Drawn):
            inputs = DrawnInputs(batches, train_step, mesh, runs=len(labels))
        else:
            inputs = HostInputs(batches(start), train_step, mesh)
        every = [evaluate_every, checkpoint_every] if evaluate else [checkpoint_every]
        last, received = start, None
        for first, last in _dispatches(start, steps, steps_per_call, every):
            state, metrics = inputs.advance(state, first, last)
            journal.add(last, metrics, examples_per_step=inputs.examples_per_step)
            received = interrupted()
            evaluating = evaluate and (last % evaluate_every == 0 or last == steps)
            saving = last % checkpoint_every == 0 or last == steps
            if not (received or evaluating or saving):
                continue
            journal.settle()
            figures = evaluate(state) if evaluate and evaluating else None
            journal.record_evaluation(last, figures)
            if checkpoints:
                checkpoints.save(state, figures=_over_runs(figures))
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


def _over_runs(figures: Mapping[str, Figure] | None) -> dict[str, float] | None:
    """The mean over runs, by which checkpoints of many runs are ranked."""
    if figures is None:
        return None
    return {name: float(np.mean(figure)) for name, figure in figures.items()}


def _open_journal(
    stack: contextlib.ExitStack,
    checkpoints: Checkpoints | None,
    start: int,
    steps: int,
    mesh: Mesh,
    *,
    log_every: int,
    runs: Sequence[str],
    progress: bool,
) -> Journal:
    enabled = progress and is_primary()
    display = Display(start_step=start, steps=steps, enabled=enabled)
    stack.enter_context(display)
    if start:
        display.say(f"continuing after step {start} of {steps}")
    recorder = None
    if checkpoints and is_primary():
        recorder = Recorder(checkpoints.workdir, start_step=start)
        stack.callback(recorder.close)
    # Of steps on the host's own cores, a third one under way only takes memory.
    in_flight = 1 if is_on_cpu(mesh) else 2
    return Journal(
        start, display, recorder, log_every=log_every, in_flight=in_flight, runs=runs
    )


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
