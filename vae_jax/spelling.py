"""Names as people write and read them: hints for mistyped ones, and safe display."""

import difflib
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
