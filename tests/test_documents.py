"""What the documents name exists."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Where the tables of docs/equations.md take the names of their functions from.
ROOMS = (
    "",
    "vae_jax.",
    "vae_jax.attention.",
    "vae_jax.baselines.",
    "vae_jax.calibration.",
    "vae_jax.metrics.disentanglement.",
)


def exists(name: str) -> bool:
    """Whether a dotted name can be imported, as a module or from one."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        for part in parts[depth:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def rows_of_equations() -> list[list[str]]:
    text = (ROOT / "docs" / "equations.md").read_text()
    rows = [row.strip("| ").split(" | ") for row in re.findall(r"^\|.*\|$", text, re.M)]
    return [row for row in rows if row[0] != "equation" and not row[0].startswith("-")]


def test_every_equation_has_a_function_that_exists_and_a_test():
    rows = rows_of_equations()
    assert len(rows) > 30
    for row in rows:
        _, functions, tests = row
        names = re.findall(r"`([\w.]+)[^`]*`", functions)
        unknown = [n for n in names if not any(exists(room + n) for room in ROOMS)]
        assert names, row
        assert unknown == [], row
        assert re.search(r"`(\w+/)*test_\w+(\.py)?`", tests), row


def test_every_test_named_beside_an_equation_exists():
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    text = (ROOT / "docs" / "equations.md").read_text()
    named = {name for name in re.findall(r"`(test_\w+)`", text)}
    assert len(named) > 30
    assert named - defined == set()


def test_every_file_of_tests_named_beside_an_equation_exists():
    text = (ROOT / "docs" / "equations.md").read_text()
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "document", ["README.md", *(f.name for f in (ROOT / "docs").glob("*.md"))]
)
def test_links_between_documents_lead_somewhere(document):
    path = ROOT / document if document == "README.md" else ROOT / "docs" / document
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\((?!http)([^)#]+)\)", prose)
    assert [link for link in links if not (path.parent / link).exists()] == []
