"""The checks that need no test of their own: style, and who may import whom."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import experiments
import vae_jax

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


def packages() -> list[str]:
    found = [vae_jax, experiments]
    return [
        module.name
        for root in found
        for module in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")
        if module.ispkg
    ]


@pytest.mark.parametrize("package", packages())
def test_no_module_and_function_of_a_package_share_a_name(package):
    """Else `from package import name` would hand over the one that is not meant."""
    loaded = importlib.import_module(package)
    modules = [module.name for module in pkgutil.iter_modules(loaded.__path__)]
    exported = {
        name: getattr(loaded, name) for name in modules if hasattr(loaded, name)
    }
    assert [name for name, it in exported.items() if not inspect.ismodule(it)] == []


def test_no_source_file_is_longer_than_three_hundred_lines():
    files = [
        file
        for folder in ("vae_jax", "experiments", "benchmarks")
        for file in (ROOT / folder).rglob("*.py")
    ]
    lengths = {file: len(file.read_text().splitlines()) for file in files}
    assert len(lengths) > 200
    assert {str(f): lines for f, lines in lengths.items() if lines > 300} == {}
