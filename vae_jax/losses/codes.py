"""What holds codes and encoder outputs together, and how many codes are used.

`codebook_loss` and `commitment_loss` are squared distances, not nats: one value an
example, summed over its positions and features.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vae_jax.arrays import at_least_float32, known, require_equal_shapes

Vectors = Float[Array, " batch *position_feature"]


def codebook_loss(encoded: Vectors, codes: Vectors) -> Float[Array, " batch"]:
    """|sg(encoded) - codes|²: moves the codes to what was encoded, and nothing else.

    Raises:
        ValueError: If the shapes differ.

    Source: van den Oord et al. 2017, Eq. 3, the second term.
    """
    require_equal_shapes("codebook_loss", encoded=encoded, codes=codes)
    return _squared(jax.lax.stop_gradient(encoded), codes)


def commitment_loss(encoded: Vectors, codes: Vectors) -> Float[Array, " batch"]:
    """|encoded - sg(codes)|²: holds the encoder to its codes, and moves no code.

    The paper weighs it by 0.25. Raises as `codebook_loss`.

    Source: van den Oord et al. 2017, Eq. 3, the third term.
    """
    require_equal_shapes("commitment_loss", encoded=encoded, codes=codes)
    return _squared(encoded, jax.lax.stop_gradient(codes))


def perplexity(indices: Int[Array, "..."], *, codes: int) -> Float[Array, ""]:
    """Exp of the entropy of which codes are used: from 1 to `codes`, for all alike.

    Raises:
        ValueError: If there is no index, or one is known to be no code: it would not be
            counted.
    """
    if not indices.size:
        raise ValueError("perplexity: indices must be at least one, got none.")
    host = known(indices)
    if host is not None and not 0 <= host.min() <= host.max() < codes:
        raise ValueError(
            f"perplexity: indices must be from 0 to {codes - 1}, got {host.min()} to "
            f"{host.max()}."
        )
    counts = jnp.bincount(indices.ravel(), length=codes).astype(jnp.float32)
    return jnp.exp(jax.scipy.special.entr(counts / counts.sum()).sum())


def _squared(one: Vectors, other: Vectors) -> Float[Array, " batch"]:
    difference = at_least_float32(one) - at_least_float32(other)
    return jnp.square(difference).sum(axis=tuple(range(1, difference.ndim)))
