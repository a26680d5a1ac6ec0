"""The cross-entropy of linear classifiers, to second order, on one scale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vae_jax.metrics.disentanglement.newton import Point
from vae_jax.metrics.disentanglement.scaling import mean_and_spread


class Linear(NamedTuple):
    """Scores `features @ weights.T + bias` of the classes; absent ones have -inf."""

    weights: Float[Array, "size feature"]
    bias: Float[Array, " size"]


class Softmax(NamedTuple):
    """Mean cross-entropy in nats of classifiers of standardised features.

    Their parameters are one vector: of each class the weights, then the bias.
    """

    extended: Float[Array, "example column"]
    """The standardised features, and a column of ones for the bias."""
    classes: Int[Array, " example"]
    occurs: Bool[Array, " size"]
    mean: Float[Array, " feature"]
    """Of the original features."""
    spread: Float[Array, " feature"]
    """Their standard deviation; infinite of a constant, whose weight is then 0."""

    def on_weights(self, penalty: Float[Array, " feature"]) -> Point:
        """What each feature's weights are to pay, for every parameter; 0 for biases."""
        return jnp.tile(jnp.append(penalty, 0), len(self.occurs))

    def loss(self, parameters: Point) -> Float[Array, ""]:
        """The mean cross-entropy."""
        log_p = jax.nn.log_softmax(self._logits(parameters))
        return -jnp.take_along_axis(log_p, self.classes[:, None], axis=1).mean()

    def hessian(self, parameters: Point) -> Float[Array, "parameter parameter"]:
        """Of the loss: for classes a, b the mean of (p_a [a = b] - p_a p_b) x x^T."""
        number, columns = self.extended.shape
        p = jax.nn.softmax(self._logits(parameters))
        weighted = (p[:, :, None] * self.extended[:, None]).reshape(number, -1)
        own = jnp.matmul(weighted.T, self.extended, precision="highest")
        cross = jnp.matmul(weighted.T, weighted, precision="highest")
        size = len(self.occurs)
        same = own.reshape(size, columns, 1, columns) * jnp.eye(size)[:, None, :, None]
        return (same.reshape(cross.shape) - cross) / number

    def pin(self, columns: Float[Array, " column"]) -> Float[Array, "parameter _"]:
        """Curvature where one number is added to a column of all classes.

        It changes no loss, so there a Hessian is singular and rounding would drift.
        """
        share = jnp.outer(self.occurs, self.occurs) / self.occurs.sum()
        return jnp.kron(share, jnp.diag(columns))

    def classifier(self, parameters: Point) -> Linear:
        """The same of the original features."""
        found = parameters.reshape(len(self.occurs), -1)
        weights = found[:, :-1] / self.spread[None]
        bias = found[:, -1] - jnp.matmul(weights, self.mean, precision="highest")
        return Linear(weights, jnp.where(self.occurs, bias, -jnp.inf))

    def _logits(self, parameters: Point) -> Float[Array, "example size"]:
        rows = parameters.reshape(len(self.occurs), -1)
        logits = jnp.matmul(self.extended, rows.T, precision="highest")
        return jnp.where(self.occurs[None], logits, -1e30)


def softmax_of(
    features: Float[Array, "example feature"],
    classes: Int[Array, " example"],
    *,
    size: int,
) -> Softmax:
    """The cross-entropy of `size` classes, not all of which need occur."""
    mean, spread = mean_and_spread(features)
    scaled = (features - mean[None]) / spread[None]
    extended = jnp.concatenate([scaled, jnp.ones((len(features), 1))], axis=1)
    occurs = jnp.zeros(size, bool).at[classes].set(True)
    return Softmax(extended, classes, occurs, mean, spread)
