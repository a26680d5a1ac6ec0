"""The processes of one run: joined, counted, stopped together, missed when lost."""

import collections
import contextlib
import errno
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

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
    """Joins the others; from then on Ctrl-C, like SIGTERM, stops all of them.

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
    with _ended_by_ctrl_c(), _ended_after(_PATIENCE, late):
        train.initialize_distributed(
            coordinator_address=address,
            num_processes=number,
            process_id=index,
            shutdown_timeout_seconds=_SHUTDOWN,
        )
    # Shows at once whether the network lets them, and gloo's greetings do not fall into
    # what is shown later.
    with _without_greetings():
        _exchange()


def name() -> str:
    """Which process this is, such as "process 1 of 2"."""
    return f"process {jax.process_index()} of {jax.process_count()}"


def describe() -> str:
    """How many there are, such as "2 processes, 8 devices (NVIDIA H200), 4 each"."""
    devices = jax.devices()
    kinds = " and ".join(sorted({device.device_kind for device in devices}))
    processes = collections.Counter(device.process_index for device in devices)
    text = f"{_count(len(processes), 'process', 'processes')}, "
    text += f"{_count(len(devices), 'device', 'devices')} ({kinds})"
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
        host = address.rpartition(":")[0]
        os.environ["no_grpc_proxy"] = host  # noqa: SIM112
        # Read in small letters. Of what is mended by it jax warns.
        logging.getLogger("jax._src.distributed").addFilter(
            lambda record: "proxy" not in record.getMessage()
        )


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
def _ended_by_ctrl_c() -> Iterator[None]:
    """Within, Ctrl-C ends the process, as none in Python could while jax waits.

    Afterwards the first Ctrl-C asks all processes to stop, as a SIGTERM does, and the
    second ends this one.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # ignored, as in the background of a script, or somebody else's
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, _stop_all)


def _stop_all(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    print(
        "Ctrl-C: all processes save and stop at the next step of training; "
        f"once more ends {name()} at once.",
        file=sys.stderr,
        flush=True,
    )
    signal.raise_signal(signal.SIGTERM)  # to jax, which tells the others


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
