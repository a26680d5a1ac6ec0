"""The figures of a run on disk: metrics.jsonl and TensorBoard events."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

Kind = Literal["train", "evaluation"]
Figures = Mapping[str, float | list]
"""Figures by name, each a float, or a list of what is one for each latent; of many runs
trained at once a list of these, one for each run."""


class Recorder:
    """Appends figures to `metrics.jsonl` and to TensorBoard events in `workdir`.

    Lines beyond `start_step`, left by a run that was cut off after its last checkpoint,
    are dropped: but for the times, the file ends as if there had been no interruption.
    """

    def __init__(self, workdir: Path, *, start_step: int):
        # Not above: it imports torch where that is installed, which takes seconds.
        from tensorboardX import SummaryWriter

        path = workdir / "metrics.jsonl"
        kept = [line for line in _complete_lines(path) if line["step"] <= start_step]
        # Written anew beside the old one and moved over it: a kill loses neither.
        rewritten = path.with_suffix(".jsonl.tmp")
        rewritten.write_text("".join(_to_json(line) for line in kept))
        rewritten.replace(path)
        self._lines = path.open("a", buffering=1)  # lines show while it is followed
        self._events = SummaryWriter(
            str(workdir / "tensorboard"), purge_step=start_step + 1
        )

    def write(
        self,
        kind: Kind,
        step: int,
        figures: Figures,
        *,
        times: Mapping[str, float] | None = None,
    ) -> None:
        """Adds one line, and one event per figure and run.

        `times` are what may differ when a run is repeated.
        """
        everything = {**figures, **(times or {})}
        self._lines.write(_to_json({"step": step, "kind": kind, **everything}))
        for name, value in everything.items():
            for place, figure in np.ndenumerate(value):
                tag = "/".join([kind, name, *map(str, place)])
                self._events.add_scalar(tag, figure, step)

    def flush(self) -> None:
        """Hands everything to the system, so that it outlives this process."""
        self._lines.flush()
        self._events.flush()

    def close(self) -> None:
        """Flushes and closes both files."""
        self._lines.close()
        self._events.close()


def _to_json(line: Mapping[str, Any]) -> str:
    """One line; numbers that JSON does not know become null."""

    def plain(value):
        if isinstance(value, list):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps({name: plain(value) for name, value in line.items()}) + "\n"


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    """The lines written so far; a kill can cut only the last one short."""
    if not path.exists():
        return []
    text = path.read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
