"""Times two things by turns, so that other load on the machine falls on both alike."""

import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax


def by_turns(
    functions: dict[str, Callable[[], Any]], *, repeats: int
) -> dict[str, list[float]]:
    """Seconds of each call of each function, one warm call first, A B A B ...

    A function returns once its work is done: the wait for the device is the caller's.
    """
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
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


def print_result(question: str, result: dict[str, Any], *, packages: list[str]) -> None:
    """One line of JSON: the result, and what it was measured on and when."""
    device = jax.devices()[0]
    record = {
        "benchmark": question,
        **result,
        "device": f"{device.platform}: {device.device_kind}",
        "machine": platform.machine(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    print(json.dumps(_rounded(record)))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value
