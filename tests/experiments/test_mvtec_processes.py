"""The main job as processes: killed and resumed, and joined. Minutes: run by hand."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

from vae_jax.data import synthetic

pytestmark = pytest.mark.slow

FLAGS = {
    "--category": "synthetic_gear",
    "--image-size": 32,
    "--width": 4,
    "--latents": 4,
    "--batch-size": 8,
    "--epochs": 120,
    "--evaluations": 40,
}
HASH = """
import hashlib, pathlib, sys
import jax, orbax.checkpoint as ocp
folder = max(pathlib.Path(sys.argv[1]).glob("[0-9]*"), key=lambda f: int(f.name))
state = ocp.StandardCheckpointer().restore(folder / "state")
leaves = jax.tree_util.tree_leaves_with_path(state)
print(folder.name, len(leaves))
for path, leaf in leaves:
    print(path, hashlib.sha256(leaf.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    synthetic.write_synthetic(folder / "data", image_size=32, train=12, test=16)
    return folder


@pytest.fixture(scope="module")
def start(folder, one_device):
    """`start(name, *flags)` begins the main job in the workdir of that name."""

    def start(name, *flags):
        folders = {"--workdir": folder / name, "--cache-dir": folder / "cache"}
        options = FLAGS | folders | {"--data-dir": folder / "data"}
        words = [str(word) for option in options.items() for word in option]
        return subprocess.Popen(
            [sys.executable, "-m", "experiments.mvtec", *words, *flags],
            env=one_device,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.fixture(scope="module")
def whole(folder, start):
    """The results of a run that nothing interrupts."""
    assert finish(start("whole")) == 0
    return outcome(folder / "whole")


def finish(process):
    output, _ = process.communicate(timeout=600)
    print(output)
    return process.returncode


def outcome(workdir):
    """Digests of the final state, figures of the log, rows of the table."""
    checkpoints = str(workdir / "synthetic_gear" / "checkpoints")
    digests = subprocess.run(
        [sys.executable, "-c", HASH, checkpoints],
        env=os.environ | {"XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    log = (workdir / "synthetic_gear" / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in log]
    for line in lines:
        line.pop("examples_per_second", None)
    return digests, lines, json.loads((workdir / "results.json").read_text())["rows"]


def test_killed_three_times_it_ends_with_the_same_bits(folder, start, whole):
    checkpoints = folder / "killed" / "synthetic_gear" / "checkpoints"
    pause = random.Random(0)
    for kill in range(3):
        process = start("killed")
        saved = len(list(checkpoints.glob("[0-9]*")))
        while process.poll() is None and not newest(checkpoints) > 12 * (kill + 1):
            time.sleep(0.02)
        time.sleep(pause.uniform(0, 0.3))
        assert process.poll() is None, f"finished before it was killed ({saved})"
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert finish(start("killed")) == 0
    assert outcome(folder / "killed") == whole


def newest(checkpoints):
    return max(
        (int(f.name) for f in checkpoints.glob("[0-9]*") if f.name.isdigit()), default=0
    )


def test_two_joined_processes_write_one_result(folder, start, whole):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    flags = ["--distributed", "--coordinator-address", address, "--num-processes", "2"]
    joined = [start("joined", *flags, "--process-id", str(i)) for i in range(2)]
    assert [finish(process) for process in joined] == [0, 0]
    _, alone_log, _ = whole
    lines = (folder / "joined" / "synthetic_gear" / "metrics.jsonl").read_text()
    log = [json.loads(line) for line in lines.splitlines()]
    assert [line["step"] for line in log] == [line["step"] for line in alone_log]
    first, alone_first = log[0], alone_log[0]
    assert first["loss"] == pytest.approx(alone_first["loss"], rel=1e-4)
    assert log[-1]["loss"] == pytest.approx(alone_log[-1]["loss"], rel=2e-2)
