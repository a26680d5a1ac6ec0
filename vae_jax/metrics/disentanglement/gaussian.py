"""How dependent latents are, as far as their covariance tells."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.metrics.disentanglement.checks import (
    checked_codes,
    require_two_examples,
)
from vae_jax.metrics.disentanglement.factors import Codes
from vae_jax.metrics.disentanglement.scaling import is_constant


def gaussian_total_correlation(codes: Codes) -> Float[Array, ""]:
    """KL of a Gaussian with the codes' covariance from its independent one, in nats.

    -1/2 log det of the correlation matrix; a constant latent adds nothing, and two
    latents of which one is a linear function of the other make it huge or infinite.

    Raises:
        ValueError: codes are not finite, or of one example.

    Source: Locatello et al. 2019, ICML, section 5.2.
    """
    codes = checked_codes("gaussian_total_correlation", codes)
    require_two_examples("gaussian_total_correlation", len(codes))
    return total_correlation_of(_covariance(codes))


@jax.jit
def total_correlation_of(
    covariance: Float[Array, "latent latent"],
) -> Float[Array, ""]:
    """(sum of log diagonal - log det) / 2 of the latents that vary, in nats."""
    variance = jnp.diag(covariance)
    std = jnp.sqrt(jnp.where(variance > 0, variance, 1))
    correlation = covariance / (std[:, None] * std[None])
    # Where a latent is constant the row is zero but for this.
    correlation += jnp.diag(jnp.where(variance > 0, 0.0, 1.0))
    return -jnp.linalg.slogdet(correlation)[1] / 2


def gaussian_wasserstein(codes: Codes) -> Float[Array, ""]:
    """Squared 2-Wasserstein distance of the same two Gaussians, in squared code units.

    2 tr C - 2 tr (C diag C)^(1/2). Dividing it by the trace of C makes it free of the
    codes' scale.

    Raises:
        ValueError: codes are not finite, or of one example.

    Source: Locatello et al. 2019, ICML, section 5.2.
    """
    codes = checked_codes("gaussian_wasserstein", codes)
    require_two_examples("gaussian_wasserstein", len(codes))
    return wasserstein_of(_covariance(codes))


@jax.jit
def wasserstein_of(covariance: Float[Array, "latent latent"]) -> Float[Array, ""]:
    """2 tr C - 2 tr (C diag C)^(1/2)."""
    std = jnp.sqrt(jnp.diag(covariance))
    # Similar to C diag C, but symmetric; only rounding makes an eigenvalue negative.
    eigenvalues = jnp.linalg.eigvalsh(covariance * std[:, None] * std[None])
    root = jnp.sqrt(jnp.maximum(eigenvalues, 0)).sum()
    return jnp.maximum(2 * (jnp.trace(covariance) - root), 0)  # as of rounding


@jax.jit
def _covariance(
    codes: Float[Array, "example latent"],
) -> Float[Array, "latent latent"]:
    deviation = codes - codes.mean(0)[None]
    centred = jnp.where(is_constant(codes)[None], 0, deviation)
    return jnp.matmul(centred.T, centred, precision="highest") / (len(codes) - 1)
