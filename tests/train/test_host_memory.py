import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from vae_jax.train import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()


def faults(repeats):
    for _ in range(repeats):
        np.empty(2**24, np.float32)[::1024] = 1  # 64 MiB, every page
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

before = faults(2)
print(faults(10) - before)
"""


def page_faults(mode: str) -> int:
    program = [sys.executable, "-c", PROGRAM, mode]
    return int(subprocess.run(program, check=True, capture_output=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_block_that_is_freed_and_taken_again_has_its_pages_already():
    assert page_faults("keep") < 0.1 * page_faults("return")
