"""Settings under which every test runs."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

# Read when jax starts, so they come first; processes that tests start inherit them.
# Eight simulated devices, and programs that are compiled fast rather than run fast.
# Without XLA's newer emitters they compile in half the time. The flag only where it is
# known: a version that did not know it would not start.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
)
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Nothing is compiled twice. Each worker of pytest-xdist has a folder of its own, as
# entries are not written atomically.
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


# Linux grants a process this many memory maps by default, and XLA crashes at the next.
# A compiled program holds four of them.
MEMORY_MAPS = 65_530


@pytest.fixture(scope="module", autouse=True)
def _room_for_programs():
    """What earlier files compiled is let go before it fills the process."""
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MEMORY_MAPS // 4:
        jax.clear_caches()


def pytest_unconfigure():
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


HOLD = """
import pathlib, sys, time
from vae_jax import folders
with folders.alone_in(pathlib.Path(sys.argv[1]), name="--workdir"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold_folder(pytestconfig):
    """`hold_folder(path)`: a process that is alone in the folder until it is killed."""
    started = []

    def start(folder):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, folder],
            cwd=pytestconfig.rootpath,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
