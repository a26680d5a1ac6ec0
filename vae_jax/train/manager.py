"""Orbax's manager as `Checkpoints` wants it: what it keeps, and when it saves."""

import operator
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
    """Keeps in `folder` the latest checkpoint and the best; removes unfinished ones.

    `before_commit` is called in a thread of the first process, when all files of a
    checkpoint are written and it has not yet got its name.
    """
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
        cleanup_tmp_directories=True,
    )
    return _Manager(folder, item_names=tuple(items), options=options)


class _Manager(ocp.CheckpointManager):
    """Orbax's manager, less a question whose answer it only counts.

    The processes agree where to stop by the numbers of such questions, see
    `train.interrupt`; others in between, from a thread of Orbax's too, would move that
    place to where none of them ever asks.
    """

    def reached_preemption(self, step: int) -> bool:
        """No: `fit` asks for itself, and saves and waits where the answer is yes."""
        return False
