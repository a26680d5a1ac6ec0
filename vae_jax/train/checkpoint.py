"""Checkpoints of state and configuration: atomic, asynchronous, refused if foreign."""

import contextlib
import errno
import json
import logging
import math
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    BestN,
    LatestN,
)

from vae_jax.train.sharding import is_primary
from vae_jax.train.state import TrainState

_SHOWN = 8  # differences listed in an error before "and more"


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
        OSError: `workdir` cannot be written to.
        ValueError: `workdir` is an address and not a mounted folder.
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
        _check_writable(self.workdir)
        logging.getLogger("absl").addFilter(_is_not_raised_too)
        self._manager = _Manager(
            self.workdir / "checkpoints",
            item_names=("state", "about"),
            options=_options(best_by, best_mode),
        )

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
        about = {"config": self._config, "arrays": _describe(state)}
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(about)
        )
        with _one_line_disk_errors(self.workdir):
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
            ValueError: The checkpoint is of another configuration, or of other arrays.
        """
        step = self.latest_step if step is None else step
        if step is None:
            return None
        about = self._manager.restore(
            step, args=ocp.args.Composite(about=ocp.args.JsonRestore())
        )["about"]
        self._refuse_others(about, like, step)
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        return self._manager.restore(step, args=items)["state"]

    def restore_best(self, like: TrainState) -> TrainState | None:
        """As `restore`, of the best step; the latest if none was saved with figures."""
        return self.restore(like, step=self.best_step)

    def wait(self) -> None:
        """Returns when everything saved so far is on disk, or raises OSError."""
        with _one_line_disk_errors(self.workdir):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits for the last save and ends the background threads."""
        with _one_line_disk_errors(self.workdir):
            self._manager.close()
        logging.getLogger("absl").removeFilter(_is_not_raised_too)

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

    def _refuse_others(self, about: dict, like: TrainState, step: int) -> None:
        folder = self.workdir / "checkpoints" / str(step)
        config = _differences(about["config"], self._config, ignore=self._may_change)
        if config:
            raise ValueError(
                f"Checkpoints.restore: {folder} is of another configuration "
                f"({config}). Use another workdir, or that configuration."
            )
        arrays = _differences(about["arrays"], _describe(like))
        if arrays:
            raise ValueError(
                f"Checkpoints.restore: {folder} holds other arrays ({arrays}). "
                "Use another workdir, or the model and optimiser that it was made with."
            )


class _Manager(ocp.CheckpointManager):
    """Orbax's manager, less a question whose answer it only counts.

    The processes agree where to stop by the numbers of such questions, see
    `train.interrupt`; others in between, from a thread of Orbax's too, would move that
    place to where none of them ever asks.
    """

    def reached_preemption(self, step: int) -> bool:
        """No: `fit` asks for itself, and saves and waits where the answer is yes."""
        return False


def _options(
    best_by: str | None, best_mode: Literal["min", "max"]
) -> ocp.CheckpointManagerOptions:
    # Without the latest among the kept, a restart would go back to the best.
    policies: list = [LatestN(1)]
    best_fn = None
    if best_by is not None:
        best_fn = operator.itemgetter(best_by)
        is_descending = best_mode == "min"  # the last of the sorted is kept
        policies.append(BestN(get_metric_fn=best_fn, reverse=is_descending, n=1))
    return ocp.CheckpointManagerOptions(
        preservation_policy=AnyPreservationPolicy(policies),
        best_fn=best_fn,
        best_mode=best_mode,
        enable_async_checkpointing=True,
        cleanup_tmp_directories=True,
    )


def _describe(tree: PyTree) -> dict[str, str]:
    """Type and shape of each leaf by its path: Orbax casts a wrong type in silence."""
    return {
        jax.tree_util.keystr(
            path, simple=True, separator="."
        ): f"{x.dtype}{list(x.shape)}"
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }


def _flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, list) and any(isinstance(item, dict) for item in config):
        config = {str(i): item for i, item in enumerate(config)}
    if not isinstance(config, dict):
        yield prefix, config
        return
    for name, value in config.items():
        yield from _flatten(value, f"{prefix}.{name}" if prefix else name)


def _differences(old: dict, new: dict, *, ignore: frozenset[str] = frozenset()) -> str:
    """The fields that differ, as "name: old -> new, ..."; empty if none."""
    olds, news = dict(_flatten(old)), dict(_flatten(new))
    lines = [
        f"{name}: {olds.get(name, 'absent')} -> {news.get(name, 'absent')}"
        for name in dict.fromkeys([*olds, *news])
        if name not in ignore and olds.get(name, "absent") != news.get(name, "absent")
    ]
    more = f", and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return ", ".join(lines[:_SHOWN]) + more


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if is_primary():
            probe = folder / ".writable"
            probe.write_text("")
            probe.unlink()
    except OSError as error:
        raise OSError(
            error.errno,
            f"Checkpoints: cannot write to workdir {folder} ({error.strerror}); "
            "choose another folder.",
        ) from error


def _is_not_raised_too(record: logging.LogRecord) -> bool:
    """False for the tracebacks that Orbax's threads log before `save` raises them."""
    return not (record.exc_info and "orbax" in record.pathname)


@contextlib.contextmanager
def _one_line_disk_errors(workdir: Path) -> Iterator[None]:
    """Turns what the writers below Orbax make of a full disk into one OSError."""
    try:
        yield
    except Exception as error:
        found = re.search(
            r"No space left on device|Disk quota exceeded|File too large"
            r"|Read-only file system|Permission denied|Input/output error",
            str(error),
        )
        if found is None and not isinstance(error, OSError):
            raise
        reason = found[0] if found else (str(error) or repr(error)).splitlines()[0]
        raise OSError(
            getattr(error, "errno", None) or errno.EIO,
            f"Checkpoints: could not save to {workdir} ({reason}). "
            "The last complete checkpoint is untouched.",
        ) from error
