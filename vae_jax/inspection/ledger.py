"""A table on disk that grows row by row, survives a kill, and is continued."""

import contextlib
import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from vae_jax.spelling import from_cell, to_cell

Row = dict[str, Any]

KEY = "image"
"""The column that names a row."""


class Ledger:
    """results.csv, with what it was made with beside it in settings.json.

    A row is on disk once it is added. Opened again, the rows that `is_valid` stay. Text
    is written so that spreadsheets may open it, see `spelling.to_cell`; in JSON it is
    what it is.

    Args:
        folder: is made if need be.
        kinds: column -> from its text to its value; an empty text stands for None.
        settings: plain values; rows made with others do not go into the same table.
        is_valid: whether a row that is there already may stay.
        overwrite: drop the rows that are there, whatever they were made with.

    Raises:
        ValueError: the folder holds rows made with other settings, and which they are.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Mapping[str, Callable[[str], Any]],
        settings: Mapping[str, Any],
        *,
        is_valid: Callable[[Row], bool],
        overwrite: bool = False,
    ):
        self._kinds = kinds
        self._path = folder / "results.csv"
        self.names = set[str]()
        """Of all rows."""
        folder.mkdir(parents=True, exist_ok=True)
        self._summary = folder / "results.json"
        if overwrite:
            self._path.unlink(missing_ok=True)
        elif self._path.exists():
            _refuse_other(settings, folder)
            self._refuse_other_columns()
        self._summary.unlink(missing_ok=True)  # it is there once all is done
        with _appears_whole(folder / "settings.json") as file:
            json.dump(settings, file, indent=2)
        with _appears_whole(self._path) as file:
            self._write(file, dict(zip(kinds, kinds, strict=True)))
            for row in filter(is_valid, self.rows()):
                self._write(file, row)
                self.names.add(row[KEY])
        self._file = _open(self._path, "a")

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, row: Row) -> None:
        """Appends a row."""
        self._write(self._file, row)
        self._file.flush()
        self.names.add(row[KEY])

    def rows(self) -> Iterator[Row]:
        """The rows on disk, one by one, without one that a kill cut short."""
        if not self._path.exists():
            return
        with _open(self._path, "r") as file:
            for record in csv.reader(_whole_lines(file)):
                if len(record) == len(self._kinds) and record != list(self._kinds):
                    yield self._parse(record)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Writes results.json: the summary, and all rows as "images"."""
        with _appears_whole(self._summary) as file:
            head = json.dumps(summary, indent=2, allow_nan=False)
            file.write(head.removesuffix("\n}") + ',\n  "images": [')
            for number, row in enumerate(self.rows()):
                file.write(",\n    " if number else "\n    ")
                json.dump(row, file, allow_nan=False)
            file.write("\n  ]\n}\n")

    def _refuse_other_columns(self) -> None:
        with _open(self._path, "r") as file:
            found = next(csv.reader(file), [])
        if found != list(self._kinds):
            raise ValueError(
                f"Ledger: {self._path} must have the columns {', '.join(self._kinds)}, "
                f"got {', '.join(found) or 'none'}; give another folder, or "
                "--overwrite to start anew."
            )

    def _write(self, file: IO[str], row: Row) -> None:
        cells = (row[column] for column in self._kinds)
        # Text in quotes: for some spreadsheets it would end at a semicolon.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(to_cell(x) if isinstance(x, str) else x for x in cells)

    def _parse(self, record: list[str]) -> Row:
        return {
            column: kind(from_cell(text)) if text else None
            for (column, kind), text in zip(self._kinds.items(), record, strict=True)
        }


def _whole_lines(file: IO[str]) -> Iterator[str]:
    return (line for line in file if line.endswith("\n"))


def _refuse_other(settings: Mapping[str, Any], folder: Path) -> None:
    try:
        found = json.loads((folder / "settings.json").read_text())
    except (OSError, ValueError):
        found = {}
    changes = [
        f"{name}: {found.get(name)} -> {settings.get(name)}"
        for name in sorted(settings.keys() | found.keys())
        if found.get(name) != settings.get(name)
    ]
    if changes:
        raise ValueError(
            f"Ledger: {folder} holds results made otherwise ({'; '.join(changes)}); "
            "give another folder, or --overwrite to start anew."
        )


def _open(path: Path, mode: str) -> IO[str]:
    # Names of files need not be text: what is none comes back as it was.
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="\n")


@contextlib.contextmanager
def _appears_whole(path: Path) -> Iterator[IO[str]]:
    partial = path.with_name(f".{path.name}.partial")
    with _open(partial, "w") as file:
        yield file
    os.replace(partial, path)
