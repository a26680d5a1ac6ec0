import re

import pytest

from vae_jax.report import markup

ROWS = [
    {"category": "a", "method": "ours", "kind": "attention", "aupro": 0.5, "iou": None},
    {"category": "a", "method": "flat", "kind": "floor", "aupro": 0.75, "iou": 0.25},
    {"category": "b", "method": "ours", "kind": "attention", "aupro": 0.4, "iou": 0.1},
    {"category": "b", "method": "paper", "kind": "attention", "aupro": 0.9},
]
COLUMNS = {name: name for name in ("category", "method", "kind", "aupro", "iou")}


def table(**changes):
    settings = {"rows": ROWS, "columns": COLUMNS, "highest": ("aupro", "iou")}
    return markup.Table("All", **settings | changes)


def cells(html: str) -> list[list[tuple[str, str]]]:
    """(attributes, text) of each cell of each row of the body."""
    body = html.split("<tbody>")[1].split("</tbody>")[0]
    return [
        [
            (a, re.sub("<[^>]*>", "", t))
            for a, t in re.findall("<td(.*?)>(.*?)</td>", row)
        ]
        for row in body.split("</tr>")[:-1]
    ]


def marked(html: str) -> set[str]:
    return {t for row in cells(html) for a, t in row if "best" in a}


def test_every_value_stands_in_its_cell():
    texts = [[text for _, text in row] for row in cells(markup.table_html(table()))]
    assert texts[0] == ["a", "ours", "attention", "0.500", "-"]
    assert texts[3] == ["b", "paper", "attention", "0.900", "-"]


def test_the_best_of_each_category_is_marked():
    assert marked(markup.table_html(table())) == {"0.750", "0.250", "0.900", "0.100"}


def test_the_best_of_all_is_marked_where_nothing_divides_the_table():
    assert marked(markup.table_html(table(groups=()))) == {"0.900", "0.250"}


def test_published_rows_cannot_be_the_best():
    ranked = table(is_ranked=lambda row: row["method"] != "paper")
    assert marked(markup.table_html(ranked)) == {"0.750", "0.250", "0.400", "0.100"}


def test_ties_are_all_marked():
    rows = [{"aupro": 0.5}, {"aupro": 0.5}, {"aupro": 0.4}]
    html = markup.table_html(table(rows=rows, columns={"aupro": "AUPRO"}))
    assert html.count("best") == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.91 ± 0.02", "0.91"), ("7", "7.0"), ("-1.5", "-1.5"), ("12 images", None)],
)
def test_a_mean_with_its_deviation_sorts_as_the_mean(text, value):
    html = markup.table_html(table(rows=[{"aupro": text}], columns={"aupro": "A"}))
    found = re.search('data-value="(.*?)"', html)
    assert (found and found[1]) == value


def test_sorting_is_by_the_exact_value_not_the_rounded_one():
    rows = [{"aupro": 0.12345678}]
    html = markup.table_html(table(rows=rows, columns={"aupro": "A"}))
    assert 'data-value="0.12345678"' in html
    assert ">0.123<" in html


def test_the_kind_of_a_method_is_shown():
    assert '<span class="kind floor">floor</span>' in markup.table_html(table())


def test_nothing_that_is_shown_can_become_markup():
    evil = "<script>\"&'"
    html = markup.table_html(
        markup.Table(
            evil,
            [{"category": evil, "kind": evil, "x": evil}],
            {"category": evil, "kind": evil, "x": evil},
            note=evil,
        )
    )
    html += markup.facts_html({evil: evil})
    html += markup.list_html([evil], name="notes", shown=1)
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 14
    assert re.search(r'="[^"]*<', html) is None


def test_lines_beyond_the_first_are_behind_a_fold():
    lines = [f"line {i}" for i in range(5)]
    html = markup.list_html(lines, name="verdicts", shown=2)
    before, after = html.split("<details>")
    assert "line 1" in before
    assert "line 2" not in before
    assert "3 more" in after
    assert "line 4" in after
    assert "<details>" not in markup.list_html(lines, name="verdicts", shown=5)
    assert markup.list_html([], name="verdicts", shown=5) == ""


def test_two_keys_divide_a_table_further():
    rows = [
        {"category": "a", "defect": "hole", "aupro": 0.9},
        {"category": "a", "defect": "hole", "aupro": 0.8},
        {"category": "a", "defect": "scratch", "aupro": 0.7},
    ]
    columns = {"aupro": "AUPRO"}
    by_defect = table(rows=rows, columns=columns, groups=("category", "defect"))
    assert marked(markup.table_html(by_defect)) == {"0.900", "0.700"}
    assert marked(markup.table_html(table(rows=rows, columns=columns))) == {"0.900"}
