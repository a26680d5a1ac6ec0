"""Sections in a time: which run, which fail, which are left out."""

import os
import signal
import time

import pytest


class Clock:
    """Stands still, but for what sections say that they take."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def section(self, name, *, takes=0.0, needs=0.0, error=None):
        from benchmarks.budget import Section

        def run():
            self.now += takes
            if error is not None:
                raise error
            return {"figure": name}

        return Section(name, run, needs)


@pytest.fixture
def clock():
    return Clock()


def measure(clock, sections, **options):
    from benchmarks import budget

    return budget.measure(sections, clock=clock, **options)


def test_every_section_is_timed_apart(clock):
    sections = [clock.section("a", takes=3), clock.section("b", takes=4)]
    found = measure(clock, sections, seconds=10, observe=lambda: {"peak_bytes": 7})
    assert found == {
        "sections": {
            "a": {"took_seconds": 3.0, "peak_bytes": 7, "figure": "a"},
            "b": {"took_seconds": 4.0, "peak_bytes": 7, "figure": "b"},
        },
        "failed": {},
        "left_out": [],
    }


def test_a_section_that_fails_is_named_with_its_reason_and_the_others_go_on(clock):
    error = RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating\n" + 99 * "x")
    sections = [clock.section("a", takes=1, error=error), clock.section("b")]
    found = measure(clock, sections, seconds=10)
    reason = "RuntimeError: RESOURCE_EXHAUSTED: Out of memory"
    assert found["failed"] == {"a": {"took_seconds": 1.0, "reason": reason}}
    assert list(found["sections"]) == ["b"]
    assert found["left_out"] == []


def test_an_error_without_words_and_one_of_many(clock):
    sections = [
        clock.section("a", error=KeyError()),
        clock.section("b", error=ValueError(1000 * "x")),
    ]
    failed = measure(clock, sections, seconds=10)["failed"]
    assert failed["a"]["reason"] == "KeyError: "
    assert len(failed["b"]["reason"]) == 300


def test_what_there_is_no_time_for_is_left_out_by_name(clock):
    sections = [
        clock.section("long", takes=6, needs=1),
        clock.section("needs more than is left", needs=5),
        clock.section("needs what is left", takes=4, needs=4),
        clock.section("last", needs=1),
    ]
    found = measure(clock, sections, seconds=10)
    assert list(found["sections"]) == ["long", "needs what is left"]
    assert found["left_out"] == ["needs more than is left", "last"]
    assert clock.now == 110.0


def test_no_time_at_all_leaves_all_out(clock):
    found = measure(clock, [clock.section("a", needs=1)], seconds=-5)
    assert found == {"sections": {}, "failed": {}, "left_out": ["a"]}


def test_the_result_so_far_is_kept_after_each(clock):
    kept = []

    def keep(found):
        kept.append([*found["sections"], *found["failed"], *found["left_out"]])

    sections = [
        clock.section("a"),
        clock.section("b", error=ValueError("no")),
        clock.section("c"),
    ]
    measure(clock, sections, seconds=10, after_each=keep)
    assert kept == [["a", "b", "c"], ["a", "b", "c"], ["a", "c", "b"]]


def test_a_section_that_goes_on_is_stopped_at_the_end_of_the_time():
    from benchmarks import budget

    def never_ends():
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # as code on the way has it
            return {}

    start = time.monotonic()
    found = budget.measure(
        [budget.Section("a", never_ends, 0), budget.Section("b", dict, 0)], seconds=0.2
    )
    assert 0.2 <= time.monotonic() - start < 10
    assert found["failed"]["a"]["reason"] == "stopped: out of time"
    assert found["left_out"] == ["b"]


def test_a_sigterm_from_outside_ends_it_with_what_there_is():
    from benchmarks import budget

    before = signal.getsignal(signal.SIGTERM)

    def asked_to_stop():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    sections = [
        budget.Section("a", dict, 0),
        budget.Section("b", asked_to_stop, 0),
        budget.Section("c", dict, 0),
    ]
    found = budget.measure(sections, seconds=100)
    assert [list(part) for part in found.values()] == [["a"], ["b"], ["c"]]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_ends_in_time_is_not_stopped():
    from benchmarks import budget

    with budget.time_limit(0.05):
        pass
    time.sleep(0.1)
