"""The checks that need no test of their own: style, and who may import whom."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT_IMPORTS = (
    "from importlinter.cli import lint_imports_command; lint_imports_command()"
)


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check"],
        ["-m", "ruff", "format", "--check"],
        ["-c", LINT_IMPORTS],
    ],
    ids=["lint", "format", "import contracts"],
)
def test_passes(command):
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_file_is_larger_than_a_megabyte():
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    sizes = {name: (ROOT / name).stat().st_size for name in tracked if name}
    assert {name: size for name, size in sizes.items() if size > 2**20} == {}
