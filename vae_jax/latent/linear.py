"""The linear VAE in closed form, which is probabilistic PCA: an oracle for training.

p(z) = N(0, I), p(x | z) = N(W z + mean, variance I). Everything is computed on the host
in float64, so that what a network reaches can be told from rounding. Tipping and Bishop
1999; Lucas et al. 2019, "Don't blame the ELBO!".
"""

import math
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Real

from vae_jax.distributions import LOG_TWO_PI

Rows = Real[np.ndarray, "row feature"]


class LinearModel(NamedTuple):
    """A decoder without hidden layers, and the variance of what it leaves over."""

    weights: Float[np.ndarray, "feature latent"]
    mean: Float[np.ndarray, " feature"]
    variance: float
    """Of each feature around its decoded value, in squared units of the features."""

    def in_double(self) -> "LinearModel":
        """The same in float64, of a network's float32."""
        weights, mean = (np.asarray(x, np.float64) for x in (self.weights, self.mean))
        return LinearModel(weights, mean, float(self.variance))


class LinearEncoder(NamedTuple):
    """q(z | x) = N(x kernel + bias, diag(exp(logvar))), laid out as a dense layer."""

    kernel: Float[np.ndarray, "feature latent"]
    bias: Float[np.ndarray, " latent"]
    logvar: Float[np.ndarray, " latent"]

    def encode(
        self, rows: Rows
    ) -> tuple[Float[np.ndarray, "row latent"], Float[np.ndarray, "row latent"]]:
        """Mean and log-variance of each row's posterior."""
        mean = rows @ self.kernel + self.bias
        return mean, np.broadcast_to(self.logvar, mean.shape)


def probabilistic_pca(
    rows: Rows, *, latents: int, variance: float | None = None
) -> LinearModel:
    """The linear model of the greatest likelihood, which is the best linear VAE too.

    Its weights are the leading eigenvectors of the rows' covariance (divisor n), longer
    by sqrt(eigenvalue - variance). A latent whose eigenvalue is no more than the
    variance has weights 0: it has collapsed, and no training would mend that. Of all
    rotations of the latents, which are equally likely, this is the one without
    correlation in the posterior.

    Args:
        rows: Data; their mean is taken off.
        latents: Fewer than there are features.
        variance: Of the likelihood, if it is fixed. None: the likeliest one, the mean
            of the eigenvalues that are left over, which exceeds none of those kept.

    Raises:
        ValueError: Fewer than two rows, not from 1 to features - 1 latents, a variance
            that is not positive, or rows that the latents explain without rest.

    Source: Tipping and Bishop 1999, Eq. 15 and 16.
    """
    count, features = rows.shape
    if count < 2 or not 1 <= latents < features:
        raise ValueError(
            "probabilistic_pca: wants at least 2 rows and from 1 to features - 1 "
            f"latents, got {count} rows, {features} features and latents={latents}."
        )
    mean = rows.mean(0, dtype=np.float64)
    centred = rows - mean
    ascending, vectors = scipy.linalg.eigh(centred.T @ centred / count)
    eigenvalues = ascending[::-1]
    found = eigenvalues[latents:].mean() if variance is None else variance
    # What eigh leaves of an eigenvalue of 0.
    rounding = features * np.finfo(np.float64).eps * max(eigenvalues[0], 0)
    if not rounding < found < math.inf:
        raise ValueError(
            "probabilistic_pca: the variance of the likelihood must be positive, got "
            f"{found:.3g}; give one, or rows that {latents} latents leave a rest of."
        )
    lengths = np.sqrt(np.maximum(eigenvalues[:latents] - found, 0))
    return LinearModel(vectors[:, ::-1][:, :latents] * lengths, mean, float(found))


def log_likelihood(model: LinearModel, rows: Rows) -> Float[np.ndarray, " row"]:
    """Log p(x) of each row, exactly: that of N(mean, W Wᵀ + variance I), in nats."""
    model = model.in_double()
    features = len(model.mean)
    covariance = model.weights @ model.weights.T
    covariance += model.variance * np.eye(features)
    root = scipy.linalg.cholesky(covariance, lower=True)
    white = scipy.linalg.solve_triangular(root, (rows - model.mean).T, lower=True)
    half_log_determinant = np.log(root.diagonal()).sum()
    return (
        -0.5 * (features * LOG_TWO_PI + np.square(white).sum(0)) - half_log_determinant
    )


def best_encoder(model: LinearModel) -> LinearEncoder:
    """The encoder of diagonal variance with the greatest ELBO, for every row alike.

    With M = Wᵀ W + variance I, its mean is the exact posterior's, M⁻¹ Wᵀ (x - mean),
    and its variances are variance / M_ii, those of each latent given the others. Its
    ELBO falls short of log p(x) by (sum log M_ii - log det M) / 2, which is 0 where the
    columns of W are orthogonal, as those of `probabilistic_pca` are.
    """
    model = model.in_double()
    precision = model.weights.T @ model.weights
    precision += model.variance * np.eye(len(precision))
    kernel = scipy.linalg.solve(precision, model.weights.T, assume_a="pos").T
    logvar = math.log(model.variance) - np.log(precision.diagonal())
    return LinearEncoder(kernel, -model.mean @ kernel, logvar)


def elbo(
    model: LinearModel,
    rows: Rows,
    *,
    mean: Float[np.ndarray, "row latent"],
    logvar: Float[np.ndarray, "row latent"],
) -> Float[np.ndarray, " row"]:
    """The ELBO of each row under N(mean, diag(exp(logvar))), without sampling, in nats.

    Any encoder's mean and log-variance will do, also those of a network.
    """
    model, mean = model.in_double(), mean.astype(np.float64)
    logvar = logvar.astype(np.float64)
    rest = rows - model.mean - mean @ model.weights.T
    spread = np.exp(logvar) @ np.square(model.weights).sum(0)
    squares = (np.square(rest).sum(-1) + spread) / model.variance
    constant = len(model.mean) * (LOG_TWO_PI + math.log(model.variance))
    rate = 0.5 * (np.square(mean) + np.expm1(logvar) - logvar).sum(-1)
    return -0.5 * (constant + squares) - rate
