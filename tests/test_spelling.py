import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_jax.spelling import did_you_mean, from_cell, printable, to_cell


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("scerw", "; did you mean 'screw'?"),
        ("screws", "; did you mean 'screw'?"),
        ("xyz", "."),
    ],
)
def test_the_nearest_name_is_hinted_at_if_it_is_near(name, hint):
    assert did_you_mean(name, ["leather", "screw"]) == hint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Schraube \u00e4, \u3000 \u87ba\u4e1d 1%.png", None),
        ("\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", None),
        ("\x1b[2Ja\r\nb\t\x7f\x9b", r"\x1b[2Ja\r\nb\t\x7f\x9b"),
        ("a\u202egnp.exe\u2028", r"a\u202egnp.exe\u2028"),
        ("\udcff.png", r"\udcff.png"),
    ],
)
def test_what_shows_nothing_is_shown_as_an_escape(text, shown):
    assert printable(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("a/b c.png", None),
        ("a=b-c@d.png", None),
        ("=cmd|' /C calc'!A0", "./=cmd|' /C calc'!A0"),
        (" =1", "./ =1"),
        ("\uff1d1", "./\uff1d1"),
        ("\t=1", r"\t=1"),
        ("./a", "././a"),
        ("a\\nb\n", r"a\\nb\n"),
    ],
)
def test_a_cell_is_no_formula(name, cell):
    assert to_cell(name) == (name if cell is None else cell)


@given(st.text() | st.binary().map(os.fsdecode))
def test_a_cell_gives_the_name_back(name):
    cell = to_cell(name)
    assert from_cell(cell) == name
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell.splitlines() in ([], [cell])
    cell.encode()
