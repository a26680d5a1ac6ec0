"""A folder of images through a detector: a score, a verdict and a map of each.

`inspect` yields what it finds, image by image; `record` writes it to a folder, where a
killed call continues.
"""

from typing import TYPE_CHECKING, Any

from vae_jax.inspection.settings import Settings

if TYPE_CHECKING:
    from vae_jax.inspection.findings import Finding
    from vae_jax.inspection.inspector import inspect
    from vae_jax.inspection.recorder import Outcome, describe, find_artifact, record
    from vae_jax.inspection.stream import Failed

__all__ = [
    "Failed",
    "Finding",
    "Outcome",
    "Settings",
    "describe",
    "find_artifact",
    "inspect",
    "record",
]

_HOMES = {
    "Failed": "stream",
    "Finding": "findings",
    "Outcome": "recorder",
    "describe": "recorder",
    "find_artifact": "recorder",
    "inspect": "inspector",
    "record": "recorder",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: a command's --help needs the settings, and no jax.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
