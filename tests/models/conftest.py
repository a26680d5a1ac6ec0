"""Tolerances by the rule of `tests/rounding.py`."""

import runpy
from pathlib import Path

import pytest

RULE = Path(__file__).parents[1] / "rounding.py"


@pytest.fixture(scope="session")
def rounding():
    return runpy.run_path(str(RULE))["rounding"]
