"""The rehearsal of docs/pods.md, pasted; and what is said when it cannot begin."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.launch import processes

OURS = (
    r"process \d of 2 joins the others at localhost:\d+",
    r"2 processes, 2 devices \(.*\), 1 each",
    r"(step|synthetic_gear[:,]) .*",
)


def test_how_many_there_are_is_told_in_a_line():
    assert re.fullmatch(r"1 process, 8 devices \(.+\)", processes.describe())


def test_a_port_in_use_is_named():
    with socket.create_server(("", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"must be free, got {address}"):
            processes._require_free_port(address)
    processes._require_free_port(address)
    processes._require_free_port("not an address")  # which jax refuses


@pytest.mark.parametrize(
    "reason", ["[Gloo] timed out", "Connection reset by peer", "UNAVAILABLE: gone"]
)
def test_a_lost_process_is_looked_for_among_the_others(reason):
    assert "lost another one" in processes.blame(reason)
    assert (
        processes.blame("there is no 'conv9'") == "process 0 of 1: there is no 'conv9'"
    )


@pytest.mark.slow
def test_the_rehearsal_of_the_documents_shows_lines_of_ours_alone(
    pytestconfig, one_device
):
    text = (pytestconfig.rootpath / "docs" / "pods.md").read_text()
    _, rest = text.split("## Rehearse it on one machine")
    block = re.findall(r"```sh\n(.*?)```", rest, re.DOTALL)[0]
    with socket.create_server(("", 0)) as free:
        port = str(free.getsockname()[1])
    path = f"{Path(sys.executable).parent}:{one_device['PATH']}"
    done = subprocess.run(
        ["bash", "-c", block.replace("23456", port)],
        cwd=pytestconfig.rootpath,
        env=one_device | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=900,
    )
    lines = done.stderr.splitlines()
    assert lines[1] == "2 processes, 2 devices (cpu), 1 each"
    foreign = [line for line in lines if not any(re.fullmatch(o, line) for o in OURS)]
    assert foreign == []
    assert done.stdout.splitlines()[-1].startswith("process 1 of 2 joins")
