"""Perceptual distance: how far apart images are for a network that looks at them."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import at_least_float32, require_equal_shapes

Activation = Float[Array, "batch ..."]


def perceptual_loss(
    features: Sequence[Activation], reconstructed: Sequence[Activation]
) -> Float[Array, " batch"]:
    """Mean squared difference of activations, summed over layers; not in nats.

    The network is frozen and the caller's own: its activations of the images, layer by
    layer, and those of the reconstructions, through which the gradient goes. What the
    distance means is what the network has learned; random layers have learned nothing.

    Args:
        features: Of the images, an array [batch ...] a layer.
        reconstructed: Of the reconstructions, the same layers.

    Raises:
        ValueError: No layer, unequal numbers of layers, or unequal shapes.

    Source: Johnson et al. 2016, Eq. 2; Hou et al. 2017 (deep feature consistent VAE),
    who sum layers.
    """
    if not features or len(features) != len(reconstructed):
        raise ValueError(
            "perceptual_loss: wants activations of the same layers, at least one, got "
            f"{len(features)} and {len(reconstructed)}."
        )
    for pair in zip(features, reconstructed, strict=True):
        require_equal_shapes("perceptual_loss", features=pair[0], reconstructed=pair[1])
    layers = [
        _mean_square(at_least_float32(x) - at_least_float32(y))
        for x, y in zip(features, reconstructed, strict=True)
    ]
    return sum(layers[1:], layers[0])


def _mean_square(differences: Activation) -> Float[Array, " batch"]:
    return jnp.square(differences).reshape(len(differences), -1).mean(-1)
