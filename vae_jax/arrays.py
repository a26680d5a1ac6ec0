"""What is asked of arrays before anything is computed, and their least precision.

Broadcasting, a clamped index or an integer image would give a plausible number.
"""

from typing import Any, get_args

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, ScalarLike

IntLike = int | np.integer | Int[Array, ""]
"""A whole number, which may be traced."""

_SLACK = 0.01
"""What pixels may be outside [0, 1], by interpolation or rounding."""


def at_least_float32(x: Float[Array, "*shape"] | ScalarLike) -> Float[Array, "*shape"]:
    """Widens float16 and bfloat16 to float32; float32 and float64 stay as they are.

    A Python number has the precision of what it meets, as everywhere in JAX.
    """
    if isinstance(x, bool | int | float):
        return jnp.asarray(float(x))
    return jnp.asarray(x, jnp.result_type(x, jnp.float32))


def known(values: Any) -> np.ndarray | None:
    """The same on the host, or None where this process does not know them (yet).

    That is inside a trace, and where other processes hold a part.
    """
    if isinstance(values, jax.core.Tracer):
        return None
    if isinstance(values, jax.Array) and not values.is_fully_addressable:
        return None
    return np.asarray(values)


def require_equal_shapes(function: str, **arrays: jax.Array | np.ndarray) -> None:
    """Raises a ValueError from `function` unless the named arrays have one shape."""
    shapes = [array.shape for array in arrays.values()]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"{function}: {' and '.join(arrays)} must have equal shapes, got "
            f"{' and '.join(map(str, shapes))}; broadcast them before if it is meant."
        )


def require_scalar_or_shape(
    function: str, shape: tuple[int, ...], **parameters: Any
) -> None:
    """Raises a ValueError from `function` unless each is one number or of the shape."""
    for name, value in parameters.items():
        if np.shape(value) not in ((), shape):
            raise ValueError(
                f"{function}: {name} must be a number or have shape {shape}, got shape "
                f"{np.shape(value)}; broadcast it before if it is meant."
            )


def require_scalar(function: str, **numbers: Any) -> None:
    """Raises a ValueError from `function` unless each is one number."""
    for name, value in numbers.items():
        if np.shape(value) != ():
            raise ValueError(
                f"{function}: {name} must be one number, got shape {np.shape(value)}."
            )


def require_index(function: str, name: str, index: Any, number: int) -> None:
    """Raises a ValueError from `function` if an index is known to be outside.

    JAX would clamp it, or make a row of zeros.
    """
    host = known(index)
    if host is not None and host.size and not 0 <= host.min() <= host.max() < number:
        outside = host[(host < 0) | (host >= number)][0]
        raise ValueError(
            f"{function}: {name} must be from 0 to {number - 1}, got {outside}."
        )


def require_choice(function: str, name: str, value: Any, choices: Any) -> None:
    """Raises a ValueError from `function` unless `value` is one of the `Literal`'s."""
    if value not in (accepted := get_args(choices)):
        raise ValueError(
            f"{function}: {name} must be one of {', '.join(accepted)}, got {value!r}."
        )


def require_floating(function: str, images: Any) -> None:
    """Raises a ValueError from `function` if images are integers or booleans."""
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"{function}: images must be floating-point, got {images.dtype}; divide "
            "8-bit images by 255."
        )


def require_pixels(function: str, images: Any) -> None:
    """Raises a ValueError from `function` unless these are intensities in [0, 1].

    Inside a trace only their type is known.
    """
    require_floating(function, images)
    _require_range(function, images)


def require_pixels_or_bits(function: str, images: Any) -> None:
    """The same, but booleans, and integers that are known as 0 and 1, may be too."""
    if images.dtype == bool:
        return
    if jnp.issubdtype(images.dtype, jnp.integer):
        host = known(images)
        if host is not None and np.isin(host, (0, 1)).all():
            return
    require_pixels(function, images)


def _require_range(function: str, images: Any) -> None:
    host = known(images)
    if host is None or not host.size:
        return
    low, high = host.min(), host.max()
    # Written so that NaN, which is a matter of its own, passes.
    if low < -_SLACK or high > 1 + _SLACK:
        raise ValueError(
            f"{function}: images must be in [0, 1], got values from {low:.4g} to "
            f"{high:.4g}; divide 8-bit images by 255."
        )
