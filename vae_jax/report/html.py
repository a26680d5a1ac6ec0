"""A run as one page that works without a network: tables, curves, maps to look at."""

import base64
import hashlib
import importlib.resources
import json
import string
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from vae_jax.report.budget import Plan, Sizes, plan
from vae_jax.report.charts import Chart, Line, chart_svg, colour_indices
from vae_jax.report.markup import (
    Plate,
    Table,
    facts_html,
    list_html,
    plates_html,
    table_html,
)
from vae_jax.report.section import SIDES, Item, Picture, Section, make_section
from vae_jax.report.tables import write_text

__all__ = [
    "Chart",
    "Item",
    "Line",
    "Plate",
    "Section",
    "Table",
    "make_section",
    "write_html",
]

BUDGET_BYTES = 25_000_000
SHOWN_VERDICTS = 6
NOTE_BYTES = 500
"""For what is said in a category of what was left out."""
NEEDS_SCRIPT = """<noscript><p class="notice">Without JavaScript this page shows its
tables and curves; the pictures and the threshold sliders need it.</p></noscript>"""
SCRIPTS = (
    "text.js",
    "decode.js",
    "draw.js",
    "tables.js",
    "tiles.js",
    "gallery.js",
    "viewer.js",
    "main.js",
)


def write_html(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    verdicts: Sequence[str],
    tables: Sequence[Table],
    sections: Sequence[Section] = (),
    plates: Sequence[Plate] = (),
    notes: Sequence[str] = (),
    budget_bytes: int = BUDGET_BYTES,
) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: the file.
        title: of the page.
        facts: what was run, name -> value: data, seed, device, versions.
        verdicts: lines that stand first.
        tables: the results.
        sections: one for each category.
        plates: pictures that stand below the tables, as they are.
        notes: lines that stand last.
        budget_bytes: the file is no larger; pictures of sections are shrunk, then left
            out, until they fit, and the page says so.

    Raises:
        ValueError: the page exceeds the budget without any picture of a section.
    """
    empty = Plan(0, (0,) * len(sections), (0,) * len(sections))
    fill = {
        "title": escape(title),
        "facts": facts_html(facts),
        "verdicts": list_html(verdicts, name="verdicts", shown=SHOWN_VERDICTS),
        "tables": "".join(map(table_html, tables)),
        "plates": plates_html(plates),
        "without_script": NEEDS_SCRIPT if sections else "",
        "notes": list_html(notes, name="notes", shown=len(notes)),
    }
    bare = len(_page(fill, sections, empty).encode()) + NOTE_BYTES * len(sections)
    if bare > budget_bytes:
        raise ValueError(
            f"write_html: the page takes {bare} bytes without any picture, more than "
            f"the budget of {budget_bytes}; raise budget_bytes or give fewer sections."
        )
    fitting = plan(list(map(_sizes, sections)), room=budget_bytes - bare)
    write_text(path, _page(fill, sections, fitting))


def _page(fill: Mapping[str, str], sections: Sequence[Section], fitting: Plan) -> str:
    style, script = _read("page.css"), "".join(map(_read, SCRIPTS))
    # A page that may load nothing and run nothing but what was written here.
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}"
    )
    template = string.Template(_read("page.html"))
    return template.substitute(
        fill,
        policy=policy,
        style=style,
        script=script,
        sections="".join(
            _section(section, fitting, index) for index, section in enumerate(sections)
        ),
    )


def _read(name: str) -> str:
    folder = importlib.resources.files("vae_jax.report") / "page"
    return (folder / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _section(section: Section, fitting: Plan, index: int) -> str:
    count, latents = fitting.pictures[index], fitting.latents[index]
    pictures = [
        _picture(picture, fitting.rendition, with_latents=rank < latents)
        for rank, picture in enumerate(section.pictures[:count])
    ]
    figures = _json({"category": section.category, **section.figures})
    content = f'{figures[:-1]},"pictures":[{",".join(pictures)}]}}'
    colours = colour_indices(section.charts)
    fill = {
        "category": escape(section.category),
        "id": f"category-{index}",
        "method": escape(section.method),
        "charts": "".join(_chart(chart, colours) for chart in section.charts),
        "legend": _legend(section.charts, colours),
        "histogram": section.histogram,
        "left_out": list_html(
            _left_out(section, fitting, index), name="left-out", shown=9
        ),
        "data": content,
    }
    return string.Template(_read("section.html")).substitute(fill)


def _chart(chart: Chart, colours: dict[str, int]) -> str:
    caption = f"<figcaption>{escape(chart.title)}</figcaption>"
    return f"<figure>{caption}{chart_svg(chart, colours)}</figure>"


def _legend(charts: Sequence[Chart], colours: dict[str, int]) -> str:
    kinds = {line.method: line.kind for chart in charts for line in chart.lines}
    entries = (
        f'<li><svg viewBox="0 0 28 8" aria-hidden="true"><path d="M1 4H27" '
        f'class="line {escape(kind)} c{colours[method]}"/></svg>{escape(method)} '
        f"<small>{escape(kind)}</small></li>"
        for method, kind in kinds.items()
    )
    return f'<ul class="legend">{"".join(entries)}</ul>' if kinds else ""


def _left_out(section: Section, fitting: Plan, index: int) -> list[str]:
    """What the page shows less of than there is, and why."""
    count, latents = fitting.pictures[index], fitting.latents[index]
    shown = section.pictures[:count]
    lines = []
    if count < section.images:
        lines.append(
            f"Pictures of {count} of {section.images} images, spread over kinds and "
            "scores, so that this file stays small. All images are counted."
        )
    if shown and section.map_shape:
        rendition = shown[0].renditions[fitting.rendition]
        if (rendition.rows, rendition.columns) != section.map_shape:
            size = "{} x {}".format(*section.map_shape)
            lines.append(
                f"Maps are shown at {rendition.rows} x {rendition.columns} of {size} "
                "pixels: each pixel is the highest of its block."
            )
    explained = sum(bool(picture.latents) for picture in shown[:latents])
    if shown and explained:
        lines.append(
            f"{explained} of the images have the maps of single latents with them."
        )
    return lines


def _sizes(section: Section) -> Sizes:
    """Bytes of each picture, the comma after it included."""
    plain = [
        [len(_picture(p, size, with_latents=False)) + 1 for p in section.pictures]
        for size in range(len(SIDES))
    ]
    whole = (len(_picture(p, 0, with_latents=True)) + 1 for p in section.pictures)
    latents = [most - least for most, least in zip(whole, plain[0], strict=True)]
    return Sizes(plain, latents)


def _picture(picture: Picture, rendition: int, *, with_latents: bool) -> str:
    latents = picture.latents if with_latents else ()
    return _json(
        {
            "name": picture.name,
            "kind": picture.kind,
            "isDefective": picture.is_defective,
            "score": picture.score,
            **picture.renditions[rendition]._asdict(),
            "latents": [latent._asdict() for latent in latents],
        }
    )


def _json(content: Mapping[str, object]) -> str:
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")  # so that no text ends the script element
