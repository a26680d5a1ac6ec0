"""The processes of one run: joined, counted, stopped together, missed when lost."""

import collections
import contextlib
import errno
import os
import re
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from experiments.launch import signals
from vae_jax import train

_PATIENCE = 280  # s; after 300 s jax would abort, with a stack trace
_SHUTDOWN = 3600  # s; the first process may still draw when the others are done
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")
_LOST = re.compile(
    r"\bgloo\b|\bnccl|barrier|heartbeat|UNAVAILABLE|DEADLINE_EXCEEDED"
    r"|Connection (reset|closed|refused)|Socket closed",
    re.IGNORECASE,
)
"""In what libraries say of an exchange that another process no longer takes part in."""


def join(address: str | None, number: int | None, index: int | None) -> None:
    """Joins the others; from then on Ctrl-C or SIGTERM in training stops all of them.

    The arguments are those of `train.initialize_distributed`.

    Raises:
        OSError: This is process 0 and its port is in use.
        ConnectionError: The processes could not be joined.
    """
    this = "this process" if index is None else f"process {index} of {number}"
    where = f" at {address}" if address else ""
    if address and index == 0:
        _require_free_port(address)
    if address:
        _go_past_proxies(address)
        print(f"{this} joins the others{where}", file=sys.stderr, flush=True)
    late = f"error: {this} waited {_PATIENCE} s for the others{where}; " + (
        "start the same command on every host, see docs/pods.md."
    )
    with _ended_after(_PATIENCE, late):
        train.initialize_distributed(
            coordinator_address=address,
            num_processes=number,
            process_id=index,
            shutdown_timeout_seconds=_SHUTDOWN,
        )
    signals.share()
    # Shows at once whether the network lets them, and gloo's greetings do not fall into
    # what is shown later.
    with _without_greetings():
        _exchange()


def name() -> str:
    """Which process this is, such as "process 1 of 2"."""
    return f"process {jax.process_index()} of {jax.process_count()}"


def leave() -> None:
    """Waits until the others are done too."""
    jax.distributed.shutdown()


def all_devices() -> Sequence:
    """The devices of all processes.

    Raises:
        ValueError: JAX_PLATFORMS asks for some that are not there.
    """
    try:
        return jax.devices()
    except (AssertionError, RuntimeError) as error:
        if not (asked := os.environ.get("JAX_PLATFORMS")):
            raise
        reason = str(error).partition("\n")[0] or "it is not installed"
        raise ValueError(
            f"JAX_PLATFORMS={asked}: jax finds no such device here ({reason}); unset "
            "it, or install jax for it, see docs/pods.md."
        ) from error


def describe() -> str:
    """How many there are, such as "2 processes, 8 devices (NVIDIA H200), 4 each"."""
    found = all_devices()
    kinds = " and ".join(sorted({device.device_kind for device in found}))
    processes = collections.Counter(device.process_index for device in found)
    text = f"{_count(len(processes), 'process', 'processes')}, "
    text += f"{_count(len(found), 'device', 'devices')} ({kinds})"
    if len(processes) == 1:
        return text
    least, most = min(processes.values()), max(processes.values())
    return f"{text}, {least if least == most else f'{least} to {most}'} each"


def blame(reason: str) -> str:
    """What went wrong here, or that another process is to be looked at."""
    if not _LOST.search(reason):
        return f"{name()}: {reason}"
    return (
        f"{name()} lost another one ({reason.rstrip('.')}): see what that one said "
        "last, then start all of them again; they go on from the last complete "
        "checkpoint."
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _require_free_port(address: str) -> None:
    """Raises OSError for a port in use, on which jax would end in a segmentation fault.

    What else is wrong with the address is left for jax to say.
    """
    with contextlib.suppress(ValueError):
        port = int(address.rpartition(":")[2])
        try:
            socket.create_server(("", port)).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OSError(
                    "--coordinator-address: the port of process 0 must be free, got "
                    f"{address}, where something listens; end it or take another port."
                ) from error


def _go_past_proxies(address: str) -> None:
    """Reaches process 0 directly: by a proxy jax would wait for it in vain."""
    if any(variable.lower() in _PROXIES for variable in os.environ):
        # gRPC reads one of them, in small letters; what the user excepts stays so.
        names = ("no_grpc_proxy", "no_proxy")
        excepted = [os.environ[name] for name in names if os.environ.get(name)][:1]
        host = address.rpartition(":")[0]
        os.environ[names[0]] = ",".join([*excepted, host])
        jax.config.update("jax_check_proxy_envs", False)  # it warns of what is mended


def _exchange() -> None:
    """A sum over all devices, and one over each device of all processes."""
    mesh = train.data_mesh()
    ones = np.ones(jax.local_device_count(), np.int32)
    over_all = NamedSharding(mesh, PartitionSpec("data"))
    total = jax.jit(jnp.sum, out_shardings=NamedSharding(mesh, PartitionSpec()))(
        jax.make_array_from_process_local_data(over_all, ones)
    )
    assert int(total) == jax.device_count()
    multihost_utils.sync_global_devices("joined")


@contextlib.contextmanager
def _ended_after(seconds: float, text: str) -> Iterator[None]:
    """Ends the process, with a line, if what is within takes longer."""

    def end() -> None:
        print(text, file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _without_greetings() -> Iterator[None]:
    """Keeps from stdout what gloo says there of itself, below Python, and only that."""
    sys.stdout.flush()
    stdout = os.dup(1)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
            aside.seek(0)
            for line in aside:
                if not line.startswith(b"[Gloo] Rank "):
                    os.write(1, line)
