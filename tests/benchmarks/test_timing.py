"""What the clock's readings are made into."""

import functools

import pytest

SPREAD = ["p10", "median", "p90"]


@pytest.mark.parametrize(
    ("in_loop", "expected"), [(False, "ab ab ab"), (True, "ab aabb aabb")]
)
def test_turns(in_loop, expected):
    from benchmarks import timing

    calls = []
    functions = {name: functools.partial(calls.append, name) for name in "ab"}
    seconds = timing.by_turns(functions, repeats=2, in_loop=in_loop)
    assert "".join(calls) == expected.replace(" ", "")
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_a_ratio_is_taken_turn_by_turn():
    from benchmarks import timing

    # Load that doubles both calls of a turn leaves no trace in the ratio.
    assert timing.ratio([2.0, 4.0, 2.0], [1.0, 2.0, 1.0]) == dict.fromkeys(SPREAD, 2.0)


def test_the_spread_of_eleven_equally_spaced_times():
    from benchmarks import timing

    times = [float(i) for i in range(11)]
    assert timing.spread(times) == {"p10": 1.0, "median": 5.0, "p90": 9.0}


def test_a_rate_is_work_over_time():
    from benchmarks import timing

    # 12 images in 4, 2 and 3 seconds; of rates the fastest is the highest.
    assert timing.rate([4.0, 2.0, 3.0], 12)["median"] == 4.0
    assert timing.rate([4.0], 12) == dict.fromkeys(SPREAD, 3.0)


def test_numbers_are_printed_with_four_digits():
    from benchmarks import timing

    record = timing.record("name", {"a": {"b": 1234.567, "c": 12345678}}, packages=[])
    assert record["a"] == {"b": 1235.0, "c": 12345678}
