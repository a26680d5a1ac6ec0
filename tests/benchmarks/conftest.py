"""Runs a benchmark in this process, and reads what it prints."""

import importlib
import json
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPREAD = ["p10", "median", "p90"]


@pytest.fixture(autouse=True)
def benchmarks_on_path(monkeypatch):
    """The benchmarks are no part of the distribution: they import from the root."""
    from vae_jax import train

    monkeypatch.syspath_prepend(ROOT)
    # It would hold for all tests to come.
    monkeypatch.setattr(train, "keep_freed_memory", lambda: None)


@pytest.fixture
def run(monkeypatch, capsys):
    """`python -m benchmarks.SCRIPT FLAGS`, less a process that compiles all anew.

    Returns the one line that the script prints, read, and its complaints.
    """

    def run_script(script: str, *flags: str) -> tuple[dict, str]:
        monkeypatch.setattr(sys, "argv", [script, *flags])
        # A module that others have imported is not run without a warning.
        monkeypatch.delitem(sys.modules, f"benchmarks.{script}", raising=False)
        capsys.readouterr()
        runpy.run_module(f"benchmarks.{script}", run_name="__main__", alter_sys=True)
        return read_record(script, capsys)

    return run_script


@pytest.fixture
def run_stand_ins(monkeypatch, capsys):
    """The same of a script of which these functions are replaced; PyTorch is not."""

    def run_script(script: str, *flags: str, **stand_ins) -> dict:
        from benchmarks import timing

        module = importlib.import_module(f"benchmarks.{script}")
        for name, function in stand_ins.items():
            monkeypatch.setattr(module, name, function)
        monkeypatch.setattr(timing, "torch_is_installed", lambda: False)
        module.main(flags)
        return read_record(script, capsys)[0]

    return run_script


def read_record(script: str, capsys) -> tuple[dict, str]:
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    record = json.loads(line)
    assert record["benchmark"] == script
    assert {"jax", "jaxlib", "python"} <= set(record["versions"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["date"])
    assert record["device"].startswith("cpu: ")
    assert re.search(r", \d+ cores$", record["machine"])
    return record, printed.err


@pytest.fixture
def assert_spreads():
    def check(spreads: dict, names: set[str]) -> None:
        assert set(spreads) == names
        for spread in spreads.values():
            assert list(spread) == SPREAD
            assert 0 < spread["p10"] <= spread["median"] <= spread["p90"]

    return check
