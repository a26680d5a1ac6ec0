"""Hints for names that were mistyped."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The words " did you mean 'screw'?" of the nearest name, or none if all are far.

    They stand after the semicolon of an error: "unknown 'scerw'; did you mean ...".
    """
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f" did you mean {nearest[0]!r}?" if nearest else ""
