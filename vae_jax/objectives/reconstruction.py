"""Distances between images in the place of a likelihood."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from vae_jax.attention import Likelihood

Distance = Callable[
    [
        Float[Array, "batch height width channel"],
        Float[Array, "batch height width channel"],
    ],
    Float[Array, " batch"],
]
"""Of images and reconstructions, both in [0, 1], such as `losses.ssim_loss`."""


def distance_likelihood(distance: Distance, *, weight: float) -> Likelihood:
    """-weight * distance(images, sigmoid(decoded)), for `make_elbo_loss_fn`.

    As if in nats: the log of exp(-weight * distance), which is no density. What is
    minimised then is no bound on anything, and its value compares with that of no other
    likelihood; the weight says how many nats of rate a unit of distance is worth.
    """

    def likelihood(images: Array, decoded: Array) -> Float[Array, " batch"]:
        return -weight * distance(images, jax.nn.sigmoid(decoded))

    return likelihood
