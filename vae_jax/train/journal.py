"""Metrics on their way from the devices to the log, and the NaN tripwire."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from vae_jax.train.progress import Display
from vae_jax.train.recorder import Figures, Recorder
from vae_jax.train.step import Metrics

_SHOWN = 4  # runs named in an error before "and more"


class Journal:
    """Logs metrics [step] of one run or [step run] of many, and refuses NaN.

    Metrics stay on the devices until a line is due, and are read only of dispatches
    that the devices have left behind: reading them never makes a device wait. The host
    is ahead of the devices by at most `in_flight` dispatches.
    """

    def __init__(
        self,
        start: int,
        display: Display,
        recorder: Recorder | None,
        *,
        log_every: int,
        in_flight: int,
        runs: Sequence[str] = (),
    ):
        self._display, self._recorder, self._log_every = display, recorder, log_every
        self._in_flight = in_flight
        self._start = self._settled = start
        self._runs = runs
        self._pending: list[tuple[int, Metrics]] = []
        self._examples_per_step = 0

    def add(self, step: int, metrics: Metrics, *, examples_per_step: int) -> None:
        """Takes the metrics of the dispatch that ended with `step`."""
        if not self._examples_per_step:
            # The first call compiled; it says nothing of the rate.
            self._examples_per_step = examples_per_step
            self._display.pause(self._start)
        self._pending.append((step, metrics))
        if len(self._pending) > self._in_flight:
            # Waiting for an old dispatch bounds how many inputs lie on the devices.
            done, its_metrics = self._pending[-1 - self._in_flight]
            jax.block_until_ready(its_metrics)
            if done // self._log_every > self._settled // self._log_every:
                self.settle(leave=self._in_flight)

    def settle(self, *, leave: int = 0) -> None:
        """Reads all but the last `leave` dispatches, checks every step, logs some."""
        done = self._pending[: len(self._pending) - leave]
        self._pending = self._pending[len(done) :]
        for step, metrics in jax.device_get(done):
            first = step - len(metrics["loss"]) + 1
            is_finite = _finite_steps(metrics)
            for at in range(first, step + 1):
                if not is_finite[at - first]:
                    raise self._not_finite(at, _at(metrics, at - first))
                if at % self._log_every == 0:
                    self._log(at, _at(metrics, at - first))
            self._settled = step

    def say(self, text: str) -> None:
        """Shows a line to the person who watches."""
        self._display.say(text)

    def record_evaluation(self, step: int, figures: Mapping | None) -> None:
        """Logs the figures, if any; all lines reach the system before a checkpoint."""
        if figures is not None:
            plain = _plain(figures)
            self._display.evaluation(step, plain)
            if self._recorder:
                self._recorder.write("evaluation", step, plain)
        if self._recorder:
            self._recorder.flush()
        self._display.pause(step)

    def _log(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        names = sorted(metrics, key=lambda name: (name != "loss", name))
        figures = _plain({name: metrics[name] for name in names})
        times = self._display.train(
            step, figures, examples_per_step=self._examples_per_step
        )
        if self._recorder:
            self._recorder.write("train", step, figures, times=times)

    def _not_finite(
        self, step: int, metrics: Mapping[str, np.ndarray]
    ) -> FloatingPointError:
        """What to raise for the metrics [] or [run] of a step, some not finite."""
        wrong: dict[tuple[int, ...], list[str]] = {}
        for name, values in metrics.items():
            for run in map(tuple, np.argwhere(~np.isfinite(values))):
                wrong.setdefault(run, []).append(f"{name} = {values[run]}")
        found = [
            ", ".join(terms) + "".join(f" in run {self._runs[i]}" for i in run)
            for run, terms in sorted(wrong.items())
        ]
        more = f" and {len(found) - _SHOWN} more runs" if len(found) > _SHOWN else ""
        return FloatingPointError(
            f"fit: every metric must be finite, got {'; '.join(found[:_SHOWN])}{more} "
            f"at step {step}; nothing later is saved. Look for NaN in batch "
            f"{step - 1}, lower the learning rate or clip the gradient."
        )


def _finite_steps(metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether all metrics, of all runs, are finite, [step]."""
    by_metric = [np.isfinite(m).reshape(len(m), -1).all(1) for m in metrics.values()]
    return np.logical_and.reduce(by_metric)


def _at(metrics: Mapping[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
    return {name: np.asarray(m[i], np.float32) for name, m in metrics.items()}


def _plain(figures: Mapping) -> Figures:
    """A float of each figure, or a list of floats, one for each run."""
    return {name: np.asarray(figure).tolist() for name, figure in figures.items()}
