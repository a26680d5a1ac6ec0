"""In what two configurations, or two trees of arrays, differ."""

from collections.abc import Iterator
from typing import Any

import jax
from jaxtyping import PyTree

_SHOWN = 8  # differences listed in an error before "and more"


def describe(tree: PyTree) -> dict[str, str]:
    """Type and shape of each leaf by its path: Orbax casts a wrong type in silence."""
    return {
        jax.tree_util.keystr(
            path, simple=True, separator="."
        ): f"{x.dtype}{list(x.shape)}"
        for path, x in jax.tree_util.tree_leaves_with_path(tree)
    }


def _flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, list) and any(isinstance(item, dict) for item in config):
        config = {str(i): item for i, item in enumerate(config)}
    if not isinstance(config, dict):
        yield prefix, config
        return
    for name, value in config.items():
        yield from _flatten(value, f"{prefix}.{name}" if prefix else name)


def differences(old: dict, new: dict, *, ignore: frozenset[str] = frozenset()) -> str:
    """The fields that differ, as "name: old -> new, ..."; empty if none."""
    olds, news = dict(_flatten(old)), dict(_flatten(new))
    lines = [
        f"{name}: {olds.get(name, 'absent')} -> {news.get(name, 'absent')}"
        for name in dict.fromkeys([*olds, *news])
        if name not in ignore and olds.get(name, "absent") != news.get(name, "absent")
    ]
    more = f", and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return ", ".join(lines[:_SHOWN]) + more
