"""The environment of the processes that tests start."""

import os

import pytest


@pytest.fixture(scope="session")
def one_device(tmp_path_factory) -> dict[str, str]:
    """The environment of a process as a user starts it, that compiles nothing twice."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    return inherited | {
        "XLA_FLAGS": "",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
