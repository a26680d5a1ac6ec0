"""Orbax's manager as `Checkpoints` wants it: what it keeps, and when it saves."""

import functools
import operator
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    BestN,
    LatestN,
)


def open_manager(
    folder: Path,
    *,
    items: Sequence[str],
    best_by: str | None,
    best_mode: Literal["min", "max"],
    before_commit: Callable[[], None],
) -> ocp.CheckpointManager:
    """Keeps in `folder` the latest checkpoint and the best.

    `before_commit` is called in a thread of the first process, when all files of a
    checkpoint are written and it has not yet got its name.
    """
    _pass_over_late_answers()
    # Without the latest among the kept, a restart would go back to the best.
    policies: list = [LatestN(1)]
    best_fn = None
    if best_by is not None:
        best_fn = operator.itemgetter(best_by)
        is_descending = best_mode == "min"  # the last of the sorted is kept
        policies.append(BestN(get_metric_fn=best_fn, reverse=is_descending, n=1))
    options = ocp.CheckpointManagerOptions(
        preservation_policy=AnyPreservationPolicy(policies),
        best_fn=best_fn,
        best_mode=best_mode,
        enable_async_checkpointing=True,
        async_options=ocp.options.AsyncOptions(
            post_finalization_callback=before_commit
        ),
    )
    return _Manager(folder, item_names=tuple(items), options=options)


def remove_unfinished(folder: Path) -> None:
    """Removes from `folder` the checkpoints that a killed process began to save.

    To be called where nobody saves. Orbax's own removal goes on in the background,
    beyond the end of its manager, and would take what the next process begins.
    """
    if folder.exists():
        for path in folder.iterdir():
            if ocp.utils.is_tmp_checkpoint(path):
                shutil.rmtree(path)


@functools.cache
def _pass_over_late_answers() -> None:
    """From now on what comes too late of a failed save or restore is not shown.

    The first of its files that fails is raised; TensorStore answers for the others when
    Orbax waits no more, each time with a traceback that nobody can catch.
    """
    show = sys.unraisablehook

    def show_others(unraisable: "sys.UnraisableHookArgs") -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            show(unraisable)

    sys.unraisablehook = show_others


class _Manager(ocp.CheckpointManager):
    """Orbax's manager, less a question whose answer it only counts.

    The processes agree where to stop by the numbers of such questions, see
    `train.interrupt`; others in between, from a thread of Orbax's too, would move that
    place to where none of them ever asks.
    """

    def reached_preemption(self, step: int) -> bool:
        """No: `fit` asks for itself, and saves and waits where the answer is yes."""
        return False
