import errno
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from vae_jax import folders

FORKS = r"""
import os, pathlib, sys, time
from vae_jax import folders
with folders.alone_in(pathlib.Path(sys.argv[1]), name="--workdir"):
    os.fork()
    os.write(1, b"held\n")
    time.sleep(60)
"""


def enter(folder, name="--out"):
    with folders.alone_in(folder, name=name):
        pass


def test_the_process_that_has_a_folder_is_named(hold_folder, tmp_path):
    process = hold_folder(tmp_path)
    assert folders.is_taken(tmp_path)
    with pytest.raises(folders.InUseError) as refused:
        enter(tmp_path)
    since = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}"
    assert re.fullmatch(
        rf"--out: {tmp_path} must be used by one process at a time, and is by process "
        rf"{process.pid} on {re.escape(socket.gethostname())} since {since}; wait for "
        "it, end it, or give another folder.",
        str(refused.value),
    )


def test_a_killed_process_leaves_no_lock(hold_folder, tmp_path):
    process = hold_folder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / folders.LOCK).read_text() != ""
    assert not folders.is_taken(tmp_path)
    enter(tmp_path)


def test_a_child_that_lives_on_keeps_no_lock(tmp_path, pytestconfig):
    """Workers that were forked, or commands, may outlive the process that has it."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS, tmp_path],
        cwd=pytestconfig.rootpath,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert [process.stdout.readline() for _ in range(2)] == [b"held\n"] * 2
    assert folders.is_taken(tmp_path)
    process.kill()
    process.wait()
    assert not folders.is_taken(tmp_path)
    os.killpg(process.pid, signal.SIGKILL)
    process.stdout.close()


def test_within_a_process_it_may_be_taken_again(tmp_path):
    with folders.alone_in(tmp_path, name="--workdir"):
        enter(tmp_path / "sub" / "..")
        assert folders.is_taken(tmp_path)
    assert not folders.is_taken(tmp_path)
    assert (tmp_path / folders.LOCK).read_text() == ""


def test_a_folder_that_is_not_there_is_made_and_nobody_has_it(tmp_path):
    assert not folders.is_taken(tmp_path / "new")
    with folders.alone_in(tmp_path / "new", name="--out"):
        assert (tmp_path / "new").is_dir()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        OSError, match=r"--out: cannot write to .*; give another folder"
    ):
        enter(tmp_path / "file")


def test_where_files_cannot_be_locked_it_goes_on_and_says_so(
    tmp_path, monkeypatch, caplog
):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(folders.fcntl, "flock", refuse)
    enter(tmp_path)
    assert caplog.messages == [
        f"--out: {tmp_path} cannot be locked (No locks available); see that no other "
        "process writes there"
    ]
    assert not folders.is_taken(tmp_path)


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.ENOSPC, "free some space, or give another --out"),
        (errno.EDQUOT, "free some space, or give another --out"),
        (errno.EROFS, "give another --out"),
        (errno.EACCES, "give another --out"),
    ],
)
def test_space_is_asked_for_only_where_there_is_none(number, what):
    error = OSError(number, os.strerror(number))
    assert folders.remedy(error, other="give another --out") == what
