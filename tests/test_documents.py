"""What the documents name exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


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


@pytest.mark.parametrize(
    "document", ["README.md", *(f.name for f in (ROOT / "docs").glob("*.md"))]
)
def test_links_between_documents_lead_somewhere(document):
    path = ROOT / document if document == "README.md" else ROOT / "docs" / document
    links = re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
