"""The Python of docs/tutorials, run page by page as it is printed."""

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md"))
LINES = 15
"""Of an example at most, blank ones apart."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run_and_are_short(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert blocks, "a tutorial shows how it is done"
    names: dict = {}
    for block in blocks:
        assert len([line for line in block.splitlines() if line.strip()]) <= LINES
        exec(compile(block, page.name, "exec"), names)
