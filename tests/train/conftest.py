import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

PROGRAM = Path(__file__).with_name("program.py")
CACHE = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@pytest.fixture(scope="session", autouse=True)
def compilation_cache_dir(tmp_path_factory):
    """Compiles the toy once for all tests here, and for the processes they start."""
    folder = str(tmp_path_factory.mktemp("compiled"))
    settings = CACHE | {"jax_compilation_cache_dir": folder}
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # what compiled before chose to do without one
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def toy():
    """The names of program.py: a model, its batches, its step."""
    return SimpleNamespace(**runpy.run_path(str(PROGRAM)))


@pytest.fixture(scope="module")
def launch(compilation_cache_dir):
    """`launch(workdir, *flags)` starts the toy run as a process with one CPU device."""
    started = []

    def start(*arguments, devices=1):
        flags = f"--xla_force_host_platform_device_count={devices}"
        environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        # These are compiled as users compile them, not as tests do.
        environment.pop("JAX_DISABLE_MOST_OPTIMIZATIONS", None)
        environment["JAX_COMPILATION_CACHE_DIR"] = compilation_cache_dir
        environment |= {name.upper(): str(value) for name, value in CACHE.items()}
        process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *map(str, arguments)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def read_metrics():
    """`read_metrics(workdir)`: the lines of metrics.jsonl without the times."""

    def read(workdir):
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        timed = {"examples_per_second"}
        return [
            {name: v for name, v in json.loads(line).items() if name not in timed}
            for line in lines
        ]

    return read
