"""Times things by turns, so that other load on the machine falls on all alike."""

import datetime
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

import jax


def usable_cores() -> int:
    """Cores that this process may use; XLA starts a thread for each."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def torch_is_installed() -> bool:
    """Whether there is a PyTorch to compare with; says so if there is none."""
    found = importlib.util.find_spec("torch") is not None
    if not found:
        print("PyTorch is not installed: JAX alone is timed.", file=sys.stderr)
    return found


class Built(NamedTuple):
    """A program as it was written and as it was compiled."""

    lowered: jax.stages.Lowered
    program: jax.stages.Compiled
    seconds: float
    """That tracing and XLA took."""


def build(jitted: Any, *arguments: Any) -> Built:
    """The program for such arguments."""
    start = time.perf_counter()
    lowered = jitted.lower(*arguments)
    program = lowered.compile()
    return Built(lowered, program, time.perf_counter() - start)


def compiled(jitted: Any, *arguments: Any) -> tuple[jax.stages.Compiled, float]:
    """The program for such arguments, and the seconds that tracing and XLA took."""
    built = build(jitted, *arguments)
    return built.program, built.seconds


def seconds_of(function: Callable[[], Any]) -> float:
    """Of one call, until the device is done."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def by_turns(
    functions: dict[str, Callable[[], Any]], *, repeats: int, in_loop: bool = False
) -> dict[str, list[float]]:
    """Seconds of each call of each function, one warm call first, A B A B ...

    A function returns once its work is done: the wait for the device is the caller's.
    `in_loop` is for what programs do over and over, as training steps: an untimed call
    goes before each timed one, which else finds the caches full of another's arrays.
    """
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            if in_loop:
                function()
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """The 10th, 50th and 90th percentile."""
    if len(values) == 1:
        return dict.fromkeys(("p10", "median", "p90"), values[0])
    deciles = statistics.quantiles(values, n=10, method="inclusive")
    return {"p10": deciles[0], "median": deciles[4], "p90": deciles[8]}


def ratio(numerator: list[float], denominator: list[float]) -> dict[str, float]:
    """The spread of the ratio of the two calls of each turn."""
    return spread([a / b for a, b in zip(numerator, denominator, strict=True)])


def rate(times: list[float], work: float) -> dict[str, float]:
    """The spread of how much of so much work a second each call did."""
    return spread([work / each for each in times])


def record(name: str, result: dict[str, Any], *, packages: list[str]) -> dict[str, Any]:
    """The result, what it was measured on, and when; four digits of each number."""
    device = jax.devices()[0]
    everything = {
        "benchmark": name,
        **result,
        "device": f"{device.platform}: {device.device_kind}",
        "machine": f"{platform.machine()}, {usable_cores()} cores",
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    return _rounded(everything)


def print_result(name: str, result: dict[str, Any], *, packages: list[str]) -> None:
    """The record as one line of JSON."""
    print(json.dumps(record(name, result, packages=packages)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
