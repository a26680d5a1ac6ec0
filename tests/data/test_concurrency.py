import os
import shutil
import threading
from pathlib import Path

import pytest

from vae_jax import folders
from vae_jax.data import concurrency


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (3, 3), (64, 8)])
def test_there_is_a_thread_for_each_core_up_to_eight(monkeypatch, cores, threads):
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda _: set(range(cores)), raising=False
    )
    assert concurrency.thread_count() == threads
    # Where a process cannot ask for its own cores, the machine's count.
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert concurrency.thread_count() == threads


def test_results_keep_the_order_and_each_is_counted(monkeypatch):
    monkeypatch.setattr(concurrency, "thread_count", lambda: 2)
    second_done, counted = threading.Event(), []

    def square(x):
        if x == 1:
            assert second_done.wait(10)  # the first result comes last
        if x == 2:
            second_done.set()
        return x * x

    found = concurrency.in_threads(square, [1, 2, 3], done=lambda: counted.append(1))
    assert found == [1, 4, 9]
    assert len(counted) == 3


def refuse_odd(number):
    if number % 2:
        raise ValueError(f"f: {number} is odd (a: b; c); add one.")
    return number


def test_all_that_went_wrong_is_told_and_one_alone_as_it_is():
    def told(numbers):
        with pytest.raises(ValueError, match="is odd") as error:
            concurrency.all_or_told(refuse_odd, numbers, who="g")
        return str(error.value)

    assert concurrency.all_or_told(refuse_odd, [2, 4], who="g") == [2, 4]
    assert told([1, 2]) == "f: 1 is odd (a: b; c); add one."
    assert told([1, 2, 3]) == (
        "g: 2 of 3 cannot be used: 1 is odd (a: b; c); 3 is odd (a: b; c). "
        "Repair or remove them."
    )
    many = told(range(203))
    assert many.startswith("g: 101 of 203 cannot be used: 1 is odd")
    assert many.endswith("199 is odd (a: b; c); and 1 more. Repair or remove them.")


def test_a_folder_that_another_process_clears_first_does_no_harm(tmp_path, monkeypatch):
    stale = tmp_path / ".set-unfinished-x"
    stale.mkdir()
    os.utime(stale, (1, 1))
    listed = Path.iterdir

    def cleared_meanwhile(folder):
        found = list(listed(folder))
        shutil.rmtree(stale)
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", cleared_meanwhile)
    final = tmp_path / "set"
    with concurrency.unfinished_folder("set", beside=final) as scratch:
        assert scratch.parent == tmp_path
        (scratch / "whole").mkdir()
        (scratch / "whole").rename(final)
    assert final.is_dir()
    assert not scratch.exists()


@pytest.fixture
def left(tmp_path):
    """An unfinished folder in which nothing was written since 1970."""
    folder = tmp_path / ".set-unfinished-x"
    (folder / "data").mkdir(parents=True)
    for path in (folder / "data", folder):
        os.utime(path, (1, 1))
    return folder


def start_another(tmp_path):
    with concurrency.unfinished_folder("set", beside=tmp_path / "set"):
        pass


def test_what_a_killed_process_left_is_cleared(tmp_path, left):
    start_another(tmp_path)
    assert not left.exists()


def test_a_folder_in_which_a_process_is_at_work_stays_however_old(tmp_path, left):
    with folders.alone_in(left, name="set"):
        for path in (left / folders.LOCK, left):
            os.utime(path, (1, 1))
        start_another(tmp_path)
        assert left.exists()
    os.utime(left / folders.LOCK, (1, 1))
    start_another(tmp_path)
    assert not left.exists()


def test_where_nothing_can_be_locked_one_that_is_written_to_stays(tmp_path, left):
    (left / "data" / "record").write_text("")  # the folder itself stays as old
    os.utime(left / "data", (1, 1))
    start_another(tmp_path)
    assert left.exists()


def test_whoever_fills_a_folder_has_it(tmp_path):
    with concurrency.unfinished_folder("set", beside=tmp_path / "set") as scratch:
        assert folders.is_taken(scratch)
