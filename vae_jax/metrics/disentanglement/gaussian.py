"""How dependent latents are, as far as their covariance tells."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.metrics.disentanglement.checks import (
    checked_codes,
    require_two_examples,
)
from vae_jax.metrics.disentanglement.factors import Codes
from vae_jax.metrics.disentanglement.scaling import centred


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
    return -jnp.linalg.slogdet(_correlation(covariance))[1] / 2


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
    # As the least |F Q - S|^2 over orthogonal Q, where F F^T = C and S^2 = diag C: the
    # difference of traces would lose what latents of small variance add.
    std = jnp.sqrt(jnp.diag(covariance))
    eigenvalues, eigenvectors = jnp.linalg.eigh(_correlation(covariance))
    factor = eigenvectors * jnp.sqrt(jnp.maximum(eigenvalues, 0))[None]
    left, _, right = jnp.linalg.svd(factor.T * std[None] ** 2)
    turned = jnp.matmul(
        factor, jnp.matmul(left, right, precision="highest"), precision="highest"
    )
    return ((std[:, None] * (turned - jnp.eye(len(std)))) ** 2).sum()


def _correlation(
    covariance: Float[Array, "latent latent"],
) -> Float[Array, "latent latent"]:
    variance = jnp.diag(covariance)
    std = jnp.sqrt(jnp.where(variance > 0, variance, 1))
    # Where a latent is constant the row is zero but for this.
    own = jnp.diag(jnp.where(variance > 0, 0.0, 1.0))
    return covariance / (std[:, None] * std[None]) + own


@jax.jit
def _covariance(
    codes: Float[Array, "example latent"],
) -> Float[Array, "latent latent"]:
    deviation = centred(codes)
    return jnp.matmul(deviation.T, deviation, precision="highest") / (len(codes) - 1)
