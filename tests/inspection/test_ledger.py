import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_jax.inspection.ledger import Ledger

KINDS = {"image": str, "score": float, "tiles": int, "error": str}
SETTINGS = {"threshold": 0.5, "tiles": [64, 8]}


def opened(folder, *, is_valid=lambda row: True, changes=None, **options):
    return Ledger(
        folder, KINDS, SETTINGS | (changes or {}), is_valid=is_valid, **options
    )


def names_in(folder, **options):
    with opened(folder, **options) as ledger:
        return ledger.names


def row(name, score=0.1, **others):
    return {"image": name, "score": score, "tiles": 1, "error": None} | others


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1).map(os.fsdecode),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        unique_by=lambda pair: pair[0],
    )
)
def test_rows_come_back_as_they_were(tmp_path_factory, pairs):
    """Of any name that a file can have: commas, quotes, line ends, broken text."""
    folder = tmp_path_factory.mktemp("ledger")
    rows = [row(name, score) for name, score in pairs]
    with opened(folder) as ledger:
        for each in rows:
            ledger.add(each)
        assert list(ledger.rows()) == rows
    with opened(folder) as again:
        assert again.names == {each["image"] for each in rows}
        again.finish({"count": len(rows)})
    found = json.loads((folder / "results.json").read_text())
    assert found == {"count": len(rows), "images": rows}


def test_a_name_that_is_no_text_comes_back(tmp_path):
    name = b"\xff\xfe.png".decode(errors="surrogateescape")
    with opened(tmp_path) as ledger:
        ledger.add(row(name))
    assert names_in(tmp_path) == {name}


def test_names_are_no_formulas_and_no_control_characters_in_the_table(tmp_path):
    """In the table alone: in JSON they are what they are."""
    names = ["=1+1.png", "@a.png", "-2/b.png", "a;=1.png", "\x1b[2J\r\n.png", "\udcff"]
    names += ["./=2.png", "\\n.png"]
    with opened(tmp_path) as ledger:
        for name in names:
            ledger.add(row(name, None, error=f"decode: {name} is no image"))
        assert [each["image"] for each in ledger.rows()] == names
        ledger.finish({"count": len(names)})
    content = (tmp_path / "results.csv").read_bytes().decode("utf-8")
    lines = content.split("\n")
    assert [line.split(",")[0] for line in lines[1:-1]] == [
        *('"./=1+1.png"', '"./@a.png"', '"./-2/b.png"', '"a;=1.png"'),
        *(r'"\x1b[2J\r\n.png"', r'"\udcff"', '"././=2.png"', r'"\\n.png"'),
    ]
    assert content.replace("\n", "").isprintable()
    found = json.loads((tmp_path / "results.json").read_text())["images"]
    assert [each["image"] for each in found] == names


@pytest.mark.parametrize("lost", range(1, 11))
def test_a_row_that_a_kill_cut_short_is_dropped_and_the_others_stay(tmp_path, lost):
    with opened(tmp_path) as ledger:
        for name in ("a", "b", "c"):
            ledger.add(row(name))
    file = tmp_path / "results.csv"
    file.write_bytes(file.read_bytes()[:-lost])
    with opened(tmp_path) as again:
        assert again.names == {"a", "b"}
        again.add(row("c"))
        assert [each["image"] for each in again.rows()] == ["a", "b", "c"]


def test_a_row_is_on_disk_once_it_is_added(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.add(row("a", 0.25))
        text = (tmp_path / "results.csv").read_text()
        assert text == '"image","score","tiles","error"\n"a",0.25,1,""\n'


def test_rows_that_are_not_valid_are_dropped(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.add(row("a"))
        ledger.add(row("b", None, error="broken"))
    with opened(tmp_path, is_valid=lambda each: each["error"] is None) as again:
        assert again.names == {"a"}
        assert [each["image"] for each in again.rows()] == ["a"]


def test_rows_made_otherwise_are_not_mixed(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.add(row("a"))
    with pytest.raises(ValueError, match=r"\(threshold: 0\.5 -> 0\.7\)") as error:
        opened(tmp_path, changes={"threshold": 0.7})
    assert "--overwrite" in str(error.value)
    assert "\n" not in str(error.value)
    assert names_in(tmp_path) == {"a"}
    with opened(tmp_path, changes={"threshold": 0.7}, overwrite=True) as again:
        assert again.names == set()
        assert list(again.rows()) == []


@pytest.mark.parametrize("spoil", ["gone", "broken"])
def test_a_table_of_unknown_making_is_not_continued(tmp_path, spoil):
    names_in(tmp_path)
    file = tmp_path / "settings.json"
    file.unlink() if spoil == "gone" else file.write_text("{")
    with pytest.raises(ValueError, match="holds results made otherwise"):
        opened(tmp_path)


@pytest.mark.parametrize("head", ["", "image,score,bytes,error\n", "a,0.1,1,\n"])
def test_a_table_of_other_columns_is_not_continued(tmp_path, head):
    names_in(tmp_path)
    (tmp_path / "results.csv").write_text(f"{head}b,0.2,1,\n" * bool(head))
    with pytest.raises(ValueError, match=r"must have the columns image, score, t"):
        opened(tmp_path)
    assert names_in(tmp_path, overwrite=True) == set()


def test_the_summary_appears_whole(tmp_path, monkeypatch):
    with opened(tmp_path) as ledger:
        ledger.finish({"count": 0})
        with pytest.raises(ValueError, match="JSON"):
            ledger.finish({"count": float("nan")})
    assert json.loads((tmp_path / "results.json").read_text())["count"] == 0
