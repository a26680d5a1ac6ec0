"""Disentangled inferred prior: a penalty on how latents differ from uncorrelated ones.

Penalties of a batch rather than of an example, so they come as one number.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, ScalarLike

from vae_jax.arrays import at_least_float32, require_equal_shapes


def dip_i(
    mean: Float[Array, "batch latent"],
    *,
    off_diagonal: ScalarLike,
    diagonal: ScalarLike,
) -> Float[Array, ""]:
    """Weighted squared distance of Cov[mean] to the identity.

    The covariance is over the batch, with divisor `batch`. `off_diagonal` and
    `diagonal` weigh the squares of its entries, and of those less one.

    Source: Kumar et al. 2018 (DIP-VAE), Eq. 6.
    """
    return _squared_distance(_covariance(mean), off_diagonal, diagonal)


def dip_ii(
    mean: Float[Array, "batch latent"],
    logvar: Float[Array, "batch latent"],
    *,
    off_diagonal: ScalarLike,
    diagonal: ScalarLike,
) -> Float[Array, ""]:
    """The same of Cov[z] = Cov[mean] + E[diag(exp(logvar))], z the posterior's sample.

    Raises:
        ValueError: If the shapes differ.

    Source: Kumar et al. 2018 (DIP-VAE), Eq. 7.
    """
    require_equal_shapes("dip_ii", mean=mean, logvar=logvar)
    variance = jnp.exp(at_least_float32(logvar)).mean(0)
    covariance = _covariance(mean) + jnp.diag(variance)
    return _squared_distance(covariance, off_diagonal, diagonal)


def _covariance(mean: Float[Array, "batch latent"]) -> Float[Array, "latent latent"]:
    mean = at_least_float32(mean)
    centred = mean - mean.mean(0, keepdims=True)
    return jnp.matmul(centred.T, centred, precision="highest") / len(mean)


def _squared_distance(
    covariance: Float[Array, "latent latent"],
    off_diagonal: ScalarLike,
    diagonal: ScalarLike,
) -> Float[Array, ""]:
    identity = jnp.eye(len(covariance), dtype=covariance.dtype)
    squares = jnp.square(covariance - identity)
    on_diagonal = jnp.diagonal(squares).sum()
    return off_diagonal * (squares.sum() - on_diagonal) + diagonal * on_diagonal
