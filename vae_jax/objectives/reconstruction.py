"""Distances between images beside a likelihood, for reconstructions to look at."""

from collections.abc import Callable

from jaxtyping import Array, Float

from vae_jax.attention import Likelihood

Images = Float[Array, "batch height width channel"]
Distance = Callable[[Images, Images], Float[Array, " batch"]]
"""Of images and reconstructions in [0, 1], such as `losses.ssim_loss`."""


def with_distance(
    likelihood: Likelihood,
    distance: Distance,
    *,
    weight: float,
    as_images: Callable[[Array], Images],
) -> Likelihood:
    """Log p(images | decoded) - weight * distance, for `make_elbo_loss_fn`.

    The ELBO of exp(-weight * distance) p(images | decoded), which is no density any
    more: what is minimised is no bound on the data, and compares with that of no other
    likelihood. The likelihood keeps every pixel where it is; a distance alone leaves
    free what it does not look at, and trained by it alone, decoders draw that as noise.

    Args:
        likelihood: Of the images.
        distance: Between images and reconstructions, in any unit.
        weight: Nats that a unit of distance is worth.
        as_images: From what is decoded to intensities, such as `jax.nn.sigmoid`.
    """

    def penalised(images: Array, decoded: Array) -> Float[Array, " batch"]:
        apart = distance(images, as_images(decoded))
        return likelihood(images, decoded) - weight * apart

    return penalised
