import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from experiments.launch import signals
from vae_jax.train import interrupt

BEGIN = """
import contextlib, ctypes, os, signal, sys, time
from experiments.launch import signals
with signals.answered():
    os.write(1, b"begun\\n")
    {body}
"""
BODIES = {
    "in Python": "while True: pass",
    # No handler in Python is called meanwhile.
    "outside of Python": "while True: ctypes.CDLL(None).sleep(60)",
    "where a library catches it": """
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(60)
""",
}
STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143}
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


@pytest.fixture(autouse=True)
def _interruptible():
    """Processes started here answer Ctrl-C, also where the tests run in background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def begin(pytestconfig):
    """`begin(body)`: a process at these lines of Python, within `answered`."""
    started = []

    def start(body, **variables):
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN.format(body=body)],
            cwd=pytestconfig.rootpath,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "begun\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", STATUSES)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_signal_is_a_line_and_a_status_wherever_it_comes(begin, body, number):
    process = begin(body)
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == STATUSES[number]
    assert said == f"stopped by {NAMES[number]}; the same command continues.\n"


@pytest.mark.parametrize("number", STATUSES)
def test_in_training_the_first_signal_is_left_to_it(begin, number):
    process = begin(
        """
    from types import SimpleNamespace
    sys.modules["vae_jax.train.interrupt"] = SimpleNamespace(is_watching=lambda: True)
    signal.signal(signal.SIGINT, lambda *_: os.write(1, b"noted\\n"))
    signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"noted\\n"))
    os.write(1, b"trains\\n")
    while True: time.sleep(0.01)
"""
    )
    assert process.stdout.readline() == "trains\n"
    process.send_signal(number)
    assert process.stdout.readline() == "noted\n"
    assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == STATUSES[number]


@pytest.mark.skipif(sys.platform != "linux", reason="the handler is set by number")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("number", STATUSES)
def test_in_training_of_several_processes_it_is_handed_to_jax(begin, number, training):
    """Whose handler is C: the exit of the C library stands in, with the number 15."""
    process = begin(
        f"""
    from types import SimpleNamespace
    sys.modules["vae_jax.train.interrupt"] = SimpleNamespace(
        is_watching=lambda: {training}
    )
    c = ctypes.CDLL(None)
    c.signal.argtypes = ctypes.c_int, ctypes.c_void_p
    c.signal(15, ctypes.cast(c._exit, ctypes.c_void_p))
    signals.share()
    os.write(1, b"shared\\n")
    while True: c.sleep(60)
"""
    )
    assert process.stdout.readline() == "shared\n"
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == (15 if training else STATUSES[number])
    assert said.count("\n") == (not training or number == signal.SIGINT)


def test_to_find_out_where_it_waits_python_may_answer(begin):
    process = begin("time.sleep(60)", VAE_JAX_TRACEBACK="1")
    process.send_signal(signal.SIGINT)
    assert "Traceback" in process.communicate(timeout=20)[1]
    assert process.returncode == -signal.SIGINT


def test_what_was_there_before_comes_back():
    before = [signal.getsignal(number) for number in STATUSES]
    threads = threading.active_count()
    with signals.answered():
        assert [signal.getsignal(number) for number in STATUSES] != before
    assert [signal.getsignal(number) for number in STATUSES] == before
    end = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.001)
    assert threading.active_count() == threads


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as by `nohup ... &`
    try:
        with signals.answered():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_there_is_nothing_to_answer():
    def enter():
        with signals.answered():
            seen.append(signal.getsignal(signal.SIGTERM))

    seen = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_training_says_when_it_answers_by_itself():
    assert not interrupt.is_watching()
    with interrupt.watch_for_interruption():
        assert interrupt.is_watching()
    assert not interrupt.is_watching()


@pytest.mark.parametrize("index", [0, 1])
def test_a_process_that_waits_for_the_others_ends_at_once(
    pytestconfig, one_device, tmp_path, index
):
    with socket.create_server(("", 0)) as free:
        address = f"localhost:{free.getsockname()[1]}"
    flags = ["--coordinator-address", address, "--num-processes", "2"]
    flags += ["--process-id", str(index), "--workdir", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.mvtec", "--distributed", *flags],
        cwd=pytestconfig.rootpath,
        env=one_device,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (
        process.stderr.readline()
        == f"process {index} of 2 joins the others at {address}\n"
    )
    time.sleep(0.2)  # it waits in C++
    process.send_signal([signal.SIGTERM, signal.SIGINT][index])
    said = process.communicate(timeout=20)[1]
    assert process.returncode == [143, 130][index]
    name = ["SIGTERM", "Ctrl-C"][index]
    assert said == f"stopped by {name}; the same command continues.\n"
