import random
import signal
import socket
import time

import numpy as np
import pytest

STEPS = 400


def read_leaves(workdir):
    with np.load(workdir / "final.npz") as arrays:
        return [arrays[name] for name in arrays.files]


def saved_steps(workdir):
    """The complete checkpoints; others have a longer name."""
    return {int(f.name) for f in workdir.glob("checkpoints/*") if f.name.isdigit()}


def wait_for_a_save(process, workdir, *, seconds=120):
    """Returns when there is a checkpoint that was not there at the call."""
    before, end = saved_steps(workdir), time.monotonic() + seconds
    while not saved_steps(workdir) - before:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "no checkpoint was saved in time"
        time.sleep(0.002)


def finish(process, *, code=0):
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == code, stderr
    return stderr


def train_and_kill(launch, workdir, moments):
    """Starts a run as often as there are moments, seconds after its first save."""
    for moment in moments:
        process = launch(workdir, "--steps", STEPS, "--pause", 0.03)
        wait_for_a_save(process, workdir)
        time.sleep(moment)
        process.kill()
        finish(process, code=-signal.SIGKILL)
        assert max(saved_steps(workdir)) < STEPS


@pytest.fixture(scope="module")
def whole_run(launch, tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("whole")
    finish(launch(workdir, "--steps", STEPS))
    return workdir


@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_with_the_same_bits(
    launch, tmp_path, whole_run, read_metrics, kills
):
    moments = [random.SystemRandom().uniform(0, 0.3) for _ in range(kills)]
    train_and_kill(launch, tmp_path / "cut", moments)
    assert "continuing after step" in finish(launch(tmp_path / "cut", "--steps", STEPS))
    pairs = zip(read_leaves(tmp_path / "cut"), read_leaves(whole_run), strict=True)
    for cut, whole in pairs:
        np.testing.assert_array_equal(cut, whole, err_msg=f"killed after {moments} s")
    assert read_metrics(tmp_path / "cut") == read_metrics(whole_run)


def start_two(launch, workdir, *flags):
    """Two processes with two devices each, joined over this machine's network."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    join = ("--coordinator-address", address, "--num-processes", 2)
    return [
        launch(workdir, *flags, *join, "--process-id", i, devices=2) for i in range(2)
    ]


def test_two_processes_are_one_run(launch, tmp_path, whole_run, read_metrics):
    """SIGTERM to one stops both after the same step; one process alone can go on."""
    # Several steps a call: the processes agree on a call, whatever its steps.
    flags = ("--steps", STEPS, "--pause", 0.02, "--steps-per-call", 3)
    two = start_two(launch, tmp_path / "two", *flags)
    wait_for_a_save(two[0], tmp_path / "two")
    two[1].send_signal(signal.SIGTERM)
    said = [finish(process, code=143) for process in two]
    stopped_at = max(saved_steps(tmp_path / "two"))
    assert f"stopped by SIGTERM after step {stopped_at}" in said[0]
    assert "step " not in said[1]  # one process speaks for all
    assert 0 < stopped_at < STEPS

    finish(launch(tmp_path / "two", "--steps", STEPS))
    lines, expected = read_metrics(tmp_path / "two"), read_metrics(whole_run)
    assert [line["step"] for line in lines] == [line["step"] for line in expected]
    for line, other in zip(lines, expected, strict=True):
        numbers = {name: v for name, v in line.items() if name != "kind"}
        assert numbers == pytest.approx(
            {name: other[name] for name in numbers}, rel=2e-5, abs=1e-5
        )
    pairs = zip(read_leaves(tmp_path / "two"), read_leaves(whole_run), strict=True)
    for leaf, other in pairs:
        np.testing.assert_allclose(leaf, other, rtol=1e-4, atol=1e-5)
