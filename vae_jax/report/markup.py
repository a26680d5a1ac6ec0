"""Tables and lists as HTML that reads without a script; every text is escaped."""

import base64
import dataclasses
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape

from vae_jax.report.tables import Row, format_cell

KIND = "kind"
"""Column of a table whose cells get a mark for the kind of method."""
Place = tuple[tuple[object, ...], str]
"""A part of a table and a key."""

_LEADING_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(?=$| ± )")


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under headings."""

    title: str
    rows: Sequence[Row]
    columns: Mapping[str, str]
    """Key of a row -> heading, in order."""
    highest: Collection[str] = ()
    """Keys whose highest value is marked; "0.91 ± 0.02" counts as 0.91."""
    groups: tuple[str, ...] = ("category",)
    """Keys whose values divide the table: the best of each part is marked. By the first
    of them the page can be asked for one part."""
    is_ranked: Callable[[Row], bool] = lambda row: True
    """Which rows can be best; published figures, say, cannot."""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Plate:
    """A drawn picture under its title."""

    title: str
    png: bytes
    note: str = ""


def plates_html(plates: Sequence[Plate]) -> str:
    """Pictures that show without a script, in a section of their own."""
    if not plates:
        return ""
    return (
        '<section class="plates" aria-labelledby="plates-title">'
        f'<h2 id="plates-title">Pictures</h2>{"".join(map(_plate_html, plates))}'
        "</section>"
    )


def _plate_html(plate: Plate) -> str:
    encoded = base64.b64encode(plate.png).decode()
    return (
        f'<figure class="plate"><figcaption>{escape(plate.title)}</figcaption>'
        f'<img alt="{escape(plate.title)}" src="data:image/png;base64,{encoded}">'
        f"{_note_html(plate.note)}</figure>"
    )


def _note_html(note: str) -> str:
    return f'<p class="note">{escape(note)}</p>' if note else ""


def table_html(table: Table) -> str:
    """A table whose headings become buttons that sort, where there is a script."""
    best = best_values(table)
    keys = list(table.columns)
    numeric = {
        key: any(_number(row.get(key)) is not None for row in table.rows)
        for key in keys
    }
    head = "".join(
        f'<th scope="col"{_class("number") if numeric[key] else ""}>'
        f"{escape(heading)}</th>"
        for key, heading in table.columns.items()
    )
    body = "".join(
        f"<tr{_data_group(table, row)}>"
        + "".join(
            _cell(
                row,
                key,
                is_best=_is_best(table, row, key, best),
                is_numeric=numeric[key],
            )
            for key in keys
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<figure class="table"><figcaption>{escape(table.title)}</figcaption>'
        f'<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(table.title)}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{_note_html(table.note)}</figure>"
    )


def best_values(table: Table) -> dict[Place, float]:
    """The highest number by group and key, over the rows that are ranked."""
    best: dict[Place, float] = {}
    for row in filter(table.is_ranked, table.rows):
        for key in table.highest:
            number = _number(row.get(key))
            if number is not None:
                place = (_group(table, row), key)
                best[place] = max(number, best.get(place, -math.inf))
    return best


def facts_html(facts: Mapping[str, str]) -> str:
    """Names with values: what was run."""
    pairs = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
    )
    return f'<dl class="facts">{"".join(pairs)}</dl>'


def list_html(lines: Sequence[str], *, name: str, shown: int) -> str:
    """Lines, those beyond the first `shown` behind a fold."""
    if not lines:
        return ""
    items = [f"<li>{escape(line)}</li>" for line in lines]
    head = f'<ul class="{name}">{"".join(items[:shown])}</ul>'
    if len(items) <= shown:
        return head
    rest = f'<ul class="{name}">{"".join(items[shown:])}</ul>'
    summary = f"<summary>{len(items) - shown} more</summary>"
    return f"{head}<details>{summary}{rest}</details>"


def _is_best(table: Table, row: Row, key: str, best: Mapping[Place, float]) -> bool:
    number = _number(row.get(key))
    is_candidate = key in table.highest and table.is_ranked(row) and number is not None
    return is_candidate and number == best[_group(table, row), key]


def _cell(row: Row, key: str, *, is_best: bool, is_numeric: bool) -> str:
    value = row.get(key)
    number = _number(value)
    names = [name for name, on in (("number", is_numeric), ("best", is_best)) if on]
    text = escape(format_cell(value))
    if key == KIND and value is not None:
        text = f'<span class="kind {escape(str(value))}">{text}</span>'
    sort = "" if number is None else f' data-value="{number!r}"'
    return f"<td{_class(*names)}{sort}>{text}</td>"


def _class(*names: str) -> str:
    return f' class="{" ".join(names)}"' if names else ""


def _group(table: Table, row: Row) -> tuple[object, ...]:
    return tuple(row.get(key) for key in table.groups)


def _data_group(table: Table, row: Row) -> str:
    first = row.get(table.groups[0]) if table.groups else None
    return "" if first is None else f' data-group="{escape(str(first))}"'


def _number(value: object) -> float | None:
    if isinstance(value, str):
        found = _LEADING_NUMBER.match(value)
        return float(found[0]) if found else None
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None
