"""What labels add to a VAE: the bounds of Kingma et al. 2014, per example in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vae_jax.arrays import at_least_float32, known


def cross_entropy(
    logits: Float[Array, "batch class"], labels: Int[Array, " label"]
) -> Float[Array, " batch"]:
    """-log q(label | x) of each example, in nats.

    NaN inside jit, where it is not known before, for a label that is no class.

    Raises:
        ValueError: If there is not one label for each row, or one that is known is no
            class.
    """
    _require_labels("cross_entropy", logits, labels)
    log_probabilities = jax.nn.log_softmax(at_least_float32(logits))
    found = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=1)[:, 0]
    # JAX would count -1 from the end, as the last class.
    return jnp.where((labels >= 0) & (labels < logits.shape[1]), found, jnp.nan)


def unlabelled_bound(
    class_losses: Float[Array, "batch loss"], logits: Float[Array, "batch class"]
) -> Float[Array, " batch"]:
    """U(x) = sum over y of q(y | x) L(x, y), minus the entropy of q(y | x), in nats.

    At least -log of the sum over y of exp(-L(x, y)), and equal to it where q(y | x) is
    proportional to exp(-L(x, y)): an upper bound on -log p(x).

    Args:
        class_losses: L(x, y), a bound on -log p(x, y), for each class; with -log p(y).
        logits: Of q(y | x).

    Raises:
        ValueError: If the shapes differ.

    Source: Kingma et al. 2014, Eq. 7.
    """
    if class_losses.shape != logits.shape:
        raise ValueError(
            "unlabelled_bound: class_losses and logits must both be [batch class], got "
            f"{class_losses.shape} and {logits.shape}; give a loss for every class."
        )
    log_probabilities = jax.nn.log_softmax(at_least_float32(logits))
    # q log q is 0 where q is 0, and so is its gradient.
    return jnp.sum(
        jnp.exp(log_probabilities)
        * (at_least_float32(class_losses) + log_probabilities),
        axis=1,
    )


def _require_labels(
    function: str,
    logits: Float[Array, "batch class"],
    labels: Int[Array, " label"],
) -> None:
    if labels.shape != logits.shape[:1]:
        raise ValueError(
            f"{function}: labels must be one for each of {len(logits)} rows, got shape "
            f"{labels.shape}."
        )
    host, classes = known(labels), logits.shape[1]
    if host is not None and host.size and not 0 <= host.min() <= host.max() < classes:
        raise ValueError(
            f"{function}: labels must be from 0 to {classes - 1}, got "
            f"{host.min()} to {host.max()}; leave out what has no label."
        )
