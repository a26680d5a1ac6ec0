"""Checkpoints: atomic, asynchronous, with digests; refused if foreign or damaged."""

import contextlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp

from vae_jax.folders import alone_in
from vae_jax.train import digests
from vae_jax.train.differences import describe, differences
from vae_jax.train.disk import check_writable, first_line, one_line_disk_errors
from vae_jax.train.manager import open_manager, remove_unfinished
from vae_jax.train.sharding import is_primary
from vae_jax.train.state import TrainState


class Checkpoints:
    """The checkpoints of one run: the latest, and the best by a validation figure.

    The step number of a state is its whole input position, so nothing else is stored
    but `config`, against which every later start is compared.

    Args:
        workdir: Folder of the run, seen by all processes; made if missing.
        config: What the run depends on, as nested mappings of JSON values.
        may_change: Dotted names in `config` that a restart may change, such as the
            number of steps.
        best_by: The figure, of those given to `save`, that ranks checkpoints.
        best_mode: Whether its smallest or largest value is best.

    Raises:
        OSError: `workdir` cannot be written to, or another run uses it.
        ValueError: `workdir` is an address and not a mounted folder, or the figures of
            a checkpoint are damaged.
    """

    def __init__(
        self,
        workdir: str | Path,
        *,
        config: Mapping[str, Any],
        may_change: Sequence[str] = (),
        best_by: str | None = None,
        best_mode: Literal["min", "max"] = "min",
    ):
        if "://" in str(workdir):
            raise ValueError(
                "Checkpoints: workdir must be a folder that every process sees, got "
                f"{workdir}; mount the bucket and give its folder."
            )
        # Orbax fails in its own thread, unseen, on a relative path.
        self.workdir = Path(workdir).absolute()
        self._config = json.loads(json.dumps(config))
        self._may_change = frozenset(may_change)
        self._best_by = best_by
        self._worst = math.inf if best_mode == "min" else -math.inf
        self._saving = 0
        check_writable(self.workdir)
        with contextlib.ExitStack() as stack:
            if is_primary():  # of a run of several processes, which share the folder
                stack.enter_context(alone_in(self.workdir, name="Checkpoints: workdir"))
                remove_unfinished(self.workdir / "checkpoints")
            logging.getLogger("absl").addFilter(_is_not_raised_too)
            stack.callback(logging.getLogger("absl").removeFilter, _is_not_raised_too)
            self._manager = self._open_manager(best_by, best_mode)
            self._open = stack.pop_all()

    def _open_manager(
        self, best_by: str | None, best_mode: Literal["min", "max"]
    ) -> ocp.CheckpointManager:
        try:
            return open_manager(
                self.workdir / "checkpoints",
                items=("state", "about"),
                best_by=best_by,
                best_mode=best_mode,
                before_commit=self._write_digests,
            )
        except ValueError as error:  # of figures that are no JSON
            self._refuse_damaged(error)
            raise

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint, None if there is none."""
        return self._manager.latest_step()

    @property
    def best_step(self) -> int | None:
        """The step of the best checkpoint, None if none was saved with figures."""
        step = self._manager.best_step()
        if self._best_by is None or step is None:
            return None
        return None if self._manager.metrics(step) == self._ranked(None) else step

    def save(self, state: TrainState, *, figures: Mapping[str, float] | None = None):
        """Starts to save; returns as soon as the state may be overwritten.

        A step that is saved already is left as it is.

        Raises:
            OSError: This save, or the one before it, could not be written.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        about = {
            "config": self._config,
            "arrays": describe(state),
            "digests": digests.NAME,
        }
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(about)
        )
        with one_line_disk_errors(self.workdir):
            self._manager.wait_until_finished()
            self._saving = step
            if not self._manager.save(
                step, args=items, metrics=self._ranked(figures), force=True
            ):
                raise RuntimeError(
                    f"Checkpoints.save: step {step} was not saved; the latest is "
                    f"{self.latest_step}."
                )

    def restore(
        self, like: TrainState, *, step: int | None = None
    ) -> TrainState | None:
        """The state saved at `step` (by default the latest), None if there is none.

        `like` gives the tree, shapes, types and shardings, for any number of devices;
        its values are not read.

        Raises:
            ValueError: A checkpoint that is kept is damaged, or this one is of another
                configuration or of other arrays.
        """
        step = self.latest_step if step is None else step
        if step is None:
            return None
        # All that are kept: damage could make another one the best.
        about = {kept: self._read_about(kept) for kept in self._manager.all_steps()}
        self._refuse_others(about[step], like, step)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        try:
            return self._manager.restore(step, args=items)["state"]
        except Exception as error:
            if "digests" in about[step]:
                raise  # the files are as they were written
            raise self._damaged(step, first_line(error)) from error

    def restore_best(self, like: TrainState) -> TrainState | None:
        """As `restore`, of the best step; the latest if none was saved with figures."""
        return self.restore(like, step=self.best_step)

    def wait(self) -> None:
        """Returns when everything saved so far is on disk, or raises OSError."""
        with one_line_disk_errors(self.workdir):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the last save, ends the background threads, frees the folder."""
        with self._open, one_line_disk_errors(self.workdir):
            self._manager.close()

    def _ranked(self, figures: Mapping[str, float] | None) -> dict[str, float] | None:
        """What Orbax ranks by; without a finite figure, worse than any other."""
        if self._best_by is None:
            return None
        if figures is None:
            return {self._best_by: self._worst}
        if self._best_by not in figures:
            raise ValueError(
                f"Checkpoints.save: best_by must be one of {sorted(figures)}, "
                f"got {self._best_by!r}."
            )
        value = float(figures[self._best_by])
        # NaN compares with nothing and would push out the best checkpoint.
        return {self._best_by: value if math.isfinite(value) else self._worst}

    def _write_digests(self) -> None:
        """Called in the first process, when all have written and nothing has a name."""
        # The name of what is unfinished, beside the step, is Orbax's affair.
        for folder in (self.workdir / "checkpoints").iterdir():
            if folder.name.partition(".")[0] == str(self._saving):
                digests.write_digests(folder)

    def _folder(self, step: int) -> Path:
        return self.workdir / "checkpoints" / str(step)

    def _read_about(self, step: int) -> dict[str, Any]:
        """What was noted of a checkpoint, whose files must be as they were written.

        Of one that was saved before there were digests, only this is read.
        """
        folder = self._folder(step)
        items = ocp.args.Composite(about=ocp.args.JsonRestore())
        try:
            about = self._manager.restore(step, args=items)["about"]
        except Exception as error:
            raise self._damaged(step, f"about: {first_line(error)}") from error
        if "digests" in about or (folder / digests.NAME).exists():
            found = digests.find_damage(folder)
            if found:
                raise self._damaged(step, found)
        return about

    def _refuse_damaged(self, error: Exception) -> None:
        """Raises ValueError for the first damaged checkpoint, where `error` came of."""
        for step in self._steps():
            folder = self._folder(step)
            if (folder / digests.NAME).exists() and (
                found := digests.find_damage(folder)
            ):
                raise self._damaged(step, found) from error

    def _steps(self) -> list[int]:
        names = [path.name for path in (self.workdir / "checkpoints").iterdir()]
        return sorted(int(name) for name in names if name.isdigit())

    def _damaged(self, step: int, found: str) -> ValueError:
        others = [other for other in self._steps() if other != step]
        then = f"go on from step {max(others)}" if others else "start anew"
        return ValueError(
            f"Checkpoints.restore: {self._folder(step)} is damaged ({found}). "
            f"Delete it to {then}, or put a copy in its place."
        )

    def _refuse_others(self, about: dict, like: TrainState, step: int) -> None:
        folder = self._folder(step)
        config = differences(about["config"], self._config, ignore=self._may_change)
        if config:
            raise ValueError(
                f"Checkpoints.restore: {folder} is of another configuration "
                f"({config}). Use another workdir, or that configuration."
            )
        arrays = differences(about["arrays"], describe(like))
        if arrays:
            raise ValueError(
                f"Checkpoints.restore: {folder} holds other arrays ({arrays}). "
                "Use another workdir, or the model and optimiser that it was made with."
            )


def _is_not_raised_too(record: logging.LogRecord) -> bool:
    """False for the tracebacks that Orbax's threads log before `save` raises them."""
    return not (record.exc_info and "orbax" in record.pathname)
