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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"https_proxy": "http://proxy:3128"}, "gpu0"),
        ({"all_proxy": "p", "no_grpc_proxy": "10.0.0.0/8"}, "10.0.0.0/8,gpu0"),
        # gRPC reads the second only without the first.
        ({"http_proxy": "p", "no_proxy": ".intern"}, ".intern,gpu0"),
        ({"no_proxy": ".intern"}, None),
    ],
)
def test_process_0_is_reached_past_proxies_and_what_was_excepted_stays_so(
    monkeypatch, before, after
):
    updates = {}
    monkeypatch.setattr(processes.os, "environ", before)
    monkeypatch.setattr(processes.jax.config, "update", updates.__setitem__)
    processes._go_past_proxies("gpu0:12345")
    assert before.get("no_grpc_proxy") == after
    assert updates == ({} if after is None else {"jax_check_proxy_envs": False})


def test_devices_that_are_asked_for_in_vain_are_named(monkeypatch):
    def none(reason):
        def refuse():
            raise reason

        return refuse

    def said(reason):
        monkeypatch.setattr(processes.jax, "devices", none(reason))
        with pytest.raises(ValueError, match="JAX_PLATFORMS=cuda: jax finds") as error:
            processes.describe()
        return str(error.value)

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert "(it is not installed); unset it, or install" in said(AssertionError())
    assert "(no driver); unset it" in said(RuntimeError("no driver\nmore"))
    monkeypatch.delenv("JAX_PLATFORMS")
    with pytest.raises(RuntimeError, match="no driver"):
        processes.describe()


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
