"""Results as files that other tools read: JSON, CSV and a Markdown table."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_jax.spelling import to_cell

Row = Mapping[str, Any]


def format_table(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """A Markdown table of `rows`, aligned so that it also reads well in a terminal.

    Args:
      rows: one mapping a line; a missing value prints as "-".
      columns: key of a row -> heading, in order. Numbers get three decimals.
    """
    cells = [[format_cell(row.get(key)) for key in columns] for row in rows]
    headings = list(columns.values())
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    numeric = [any(isinstance(row.get(key), float) for row in rows) for key in columns]

    def line(texts: Sequence[str]) -> str:
        aligned = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        ]
        return "| " + " | ".join(aligned) + " |"

    dashes = [
        "-" * (width - 1) + ":" if right else "-" * width
        for width, right in zip(widths, numeric, strict=True)
    ]
    return "\n".join([line(headings), line(dashes), *map(line, cells)])


def format_cell(value: object) -> str:
    """Three decimals for a float, "-" for what is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes `content` whole or not at all: a kill leaves the former file."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Writes one line a row under the union of the rows' keys, in first-seen order.

    Text is written as spreadsheets may open it, see `spelling.to_cell`.
    """
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in rows for key in row))
    )
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: to_cell(x) if isinstance(x, str) else x for key, x in row.items()}
        )
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Writes `text` whole or not at all: a kill leaves the former file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
