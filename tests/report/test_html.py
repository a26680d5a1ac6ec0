import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vae_jax.anomaly import ColourLimits
from vae_jax.report import html

VOID = {"meta", "img", "input", "path", "br"}
EVIL = '</script><script>alert("1")</script>'


class Balanced(HTMLParser):
    """Fails on an element that is not closed, or closed twice."""

    def __init__(self):
        super().__init__()
        self.opened: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.opened.pop() == tag


@pytest.fixture
def make_section(make_items):
    def make_section(category="screw", items=None, **changes):
        maps = np.random.default_rng(1).gamma(2.0, 0.5, (5, 24, 32)).astype(np.float32)
        line = html.Line(
            "ours", "attention", np.array([0.0, 1.0]), np.array([0.0, 1.0])
        )
        settings = {
            "method": "ours",
            "normal_maps": maps,
            "normal_scores": maps.max((1, 2)),
            "image_threshold": 5.5,
            "pixel_threshold": 3.25,
            "limits": ColourLimits(0.5, 6.0),
            "charts": [html.Chart("ROC", "false", "true", 1.0, (line,))],
        }
        items = make_items(good=4, hole=4) if items is None else items
        return html.make_section(category, items, **settings | changes)

    return make_section


@pytest.fixture
def write(tmp_path):
    def write(*sections, title="A run", **changes) -> str:
        content = {
            "facts": {"Data": "synthetic"},
            "verdicts": ["ours beats every floor."],
            "tables": [html.Table("All", [{"aupro": 0.5}], {"aupro": "AUPRO"})],
            "notes": ["All maps are raw."],
        }
        path = Path(tmp_path) / "report.html"
        html.write_html(path, title=title, sections=sections, **content | changes)
        assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
        return path.read_text(encoding="utf-8")

    return write


def data_of(page: str) -> list[dict]:
    found = re.findall(
        '<script type="application/json">(.*?)</script>', page, re.DOTALL
    )
    return [json.loads(each) for each in found]


def test_the_page_is_balanced_and_holds_everything(write, make_section):
    page = write(make_section())
    parser = Balanced()
    parser.feed(page)
    assert parser.opened == []
    for text in (
        "A run",
        "synthetic",
        "ours beats every floor.",
        "0.500",
        "maps are raw",
    ):
        assert text in page
    (data,) = data_of(page)
    assert data["category"] == "screw"
    assert len(data["pictures"]) == 8


def test_plates_show_without_a_script_and_under_the_budget(write):
    plate = html.Plate(f"Digits {EVIL}", b"\x89PNG", "As they are drawn.")
    page = write(plates=[plate])
    parser = Balanced()
    parser.feed(page)
    assert parser.opened == []
    assert EVIL not in page
    assert base64.b64encode(b"\x89PNG").decode() in page
    assert "As they are drawn." in page
    assert "noscript" not in page
    with pytest.raises(ValueError, match="without any picture"):
        write(plates=[html.Plate("Large", bytes(10_000))], budget_bytes=13_000)


def test_nothing_is_fetched_from_anywhere(write, make_section):
    page = write(make_section())
    assert re.findall(r"(?:https?:)?//[\w.]+\.\w+|@import|url\(", page) == []
    assert "default-src 'none'" in page


def test_the_policy_names_the_script_and_the_style_of_the_page(write, make_section):
    page = write(make_section())
    for name, pattern in (
        ("script-src", '<script type="module">(.*?)</script>'),
        ("style-src", "<style>(.*?)</style>"),
    ):
        content = re.search(pattern, page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in page


def test_names_of_files_and_categories_are_harmless(write, make_section, make_items):
    (item,) = make_items(hole=1)
    named = html.Item(EVIL, EVIL, item.image, item.map, 1.0)
    page = write(
        make_section(EVIL, [named], method=EVIL),
        title=EVIL,
        facts={EVIL: EVIL},
        verdicts=[EVIL],
        notes=[EVIL],
    )
    assert "<script>" not in page
    assert page.count("</script>") == 2
    assert data_of(page)[0]["pictures"][0]["name"] == EVIL


def test_a_page_that_exceeds_the_budget_shrinks_then_drops_and_says_so(
    write, make_section, make_items
):
    section = make_section(items=make_items((200, 160), good=10, hole=10))
    whole = write(section)
    assert "Pictures of" not in whole
    assert "Maps are shown at" not in whole
    (data,) = data_of(whole)
    assert (data["pictures"][0]["rows"], data["pictures"][0]["columns"]) == (200, 160)

    bare = len(write(make_section(items=[])))
    smaller = write(section, budget_bytes=bare + (len(whole) - bare) // 2)
    (data,) = data_of(smaller)
    assert len(data["pictures"]) == 20
    assert "of 200 x 160 pixels" in smaller
    assert max(data["pictures"][0]["rows"], data["pictures"][0]["columns"]) < 200

    budget = bare + 40_000
    smallest = write(section, budget_bytes=budget)
    (data,) = data_of(smallest)
    assert 0 < len(data["pictures"]) < 20
    assert f"Pictures of {len(data['pictures'])} of 20 images" in smallest
    assert len(data["normal"]) == len(data["defective"]) == 10
    assert len(smallest.encode()) <= budget


@pytest.mark.parametrize("budget", [150_000, 250_000, 450_000])
def test_no_page_is_larger_than_its_budget(write, make_section, make_items, budget):
    sections = [
        make_section(name, make_items((64, 64), good=12, hole=12)) for name in "abc"
    ]
    page = write(*sections, budget_bytes=budget)
    assert len(page.encode()) <= budget
    assert len(page.encode()) > 0.6 * budget or "Pictures of" not in page


def test_a_budget_that_holds_no_page_is_refused(write, make_section):
    with pytest.raises(ValueError, match="raise budget_bytes or give fewer"):
        write(make_section(), budget_bytes=1000)


def test_a_run_without_defects_has_no_counts_of_defects(
    write, make_section, make_items
):
    page = write(make_section(items=make_items(good=6), are_held_out=True, charts=[]))
    (data,) = data_of(page)
    assert data["defective"] == []
    assert data["pixels"].keys() == {"heldOut"}


def test_a_report_without_categories_is_still_a_page(write):
    assert "0.500" in write()
