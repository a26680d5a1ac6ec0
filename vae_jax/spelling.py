"""Names as people write and read them: hints for mistyped ones, and safe display."""

import difflib
import re
import unicodedata
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """How an error that names `name` goes on: "; did you mean 'screw'?", else "."."""
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else "."


_SHOWS_NOTHING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control, format, broken text, ends of lines and paragraphs."""
_JOINERS = "\u200c\u200d"
"""Are format characters too, but words of some scripts are spelled with them."""


def printable(text: str) -> str:
    """On one line, and harmless on a terminal, whatever names of files are made of.

    Control characters, those that turn the direction of text, and bytes that are no
    text become escapes as Python writes them.
    """
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in _SHOWS_NOTHING
        and character not in _JOINERS
        else character
        for character in text
    )


_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""With these, and with their wide forms, formulas of spreadsheets begin."""
_ESCAPE = re.compile(r"\\(?:[\\tnr]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})", re.ASCII)


def to_cell(name: str) -> str:
    """A file's name in a table that spreadsheets open: on one line, and no formula.

    As `printable`, and what would begin a formula is put below ".", where the same file
    lies. `from_cell` is the inverse.
    """
    text = printable(name.replace("\\", r"\\"))
    needs_dot = text.startswith("./") or text.lstrip().startswith(_FORMULA)
    return f"./{text}" if needs_dot else text


def from_cell(text: str) -> str:
    """The name that `to_cell` was given."""
    return _ESCAPE.sub(
        lambda escape: escape[0].encode().decode("unicode_escape"),
        text.removeprefix("./"),
    )
