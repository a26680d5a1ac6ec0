"""What every function that explains a model asks of what it is handed."""

import reprlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from jaxtyping import Array

from vae_jax.arrays import require_floating


def require_inputs(
    function: str, model: Any, variables: Any, images: Array | None = None
) -> None:
    """Raises from `function` unless a Linen module, its variables and a batch came.

    Raises:
        TypeError: A model of another kind.
        ValueError: Variables without their collections, a single image, or one of
            integers.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"{function}: model must be a Flax Linen module, got "
            f"{type(model).__name__}; attention.from_functions makes one of an nnx or "
            "equinox model, or of any pure functions."
        )
    is_mapping = isinstance(variables, Mapping)
    # A module without parameters has no collections at all.
    if not is_mapping or (variables and "params" not in variables):
        found = reprlib.repr([*variables]) if is_mapping else type(variables).__name__
        raise ValueError(
            f"{function}: variables must hold the parameters as 'params', got {found}; "
            "hand over {'params': parameters}."
        )
    if images is not None and images.ndim != 4:
        raise ValueError(
            f"{function}: images must be [batch height width channel], got shape "
            f"{images.shape}; a single image goes in as image[None]."
        )
    if images is not None:
        require_floating(function, images)
