"""Three numbers of a latent space as a place to draw from: is it covered, even, full?

Of any networks: VAEs, and autoencoders, whose codes are posteriors without width.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.arrays import at_least_float32, require_equal_shapes


def coverage(
    images: Float[Array, "image pixel"],
    generated: Float[Array, "drawn pixel"],
    *,
    neighbours: int = 5,
) -> Float[Array, ""]:
    """The share of images that have a generated one as near as their own neighbours.

    As near as the `neighbours`-th nearest other image, by Euclidean distance. Of as
    many draws from the images' own law it is about 1 - 2^-neighbours, and 0 where
    nothing that is drawn looks like any image.

    Raises:
        ValueError: If there are not more images than neighbours.

    Source: Naeem et al. 2020, "Reliable fidelity and diversity metrics", Eq. 9.
    """
    if not 1 <= neighbours < len(images):
        raise ValueError(
            f"coverage: wants more images than neighbours, at least 1 of these, got "
            f"{len(images)} images and {neighbours}; take fewer neighbours."
        )
    images, generated = at_least_float32(images), at_least_float32(generated)
    # The nearest of all is the image itself.
    radius = jnp.sort(_squared_distances(images, images), axis=1)[:, neighbours]
    nearest = _squared_distances(images, generated).min(axis=1)
    return (nearest <= radius).mean(dtype=images.dtype)


def continuity(paths: Float[Array, "path point pixel"]) -> Float[Array, ""]:
    """How evenly images change along paths of evenly spaced codes, the mean over paths.

    Of a path it is the mean over the largest of the distances of one image to the next:
    1 where each step changes as much as any other, 1/(points - 1) where all happens in
    one. A path along which nothing changes counts as 1.

    Raises:
        ValueError: If a path has less than two steps.
    """
    if paths.shape[1] < 3:
        raise ValueError(
            "continuity: steps are compared with each other, which wants at least 3 "
            f"points of a path, got {paths.shape[1]}; decode more of each."
        )
    change = jnp.diff(at_least_float32(paths), axis=1)
    length = jnp.sqrt(jnp.square(change).sum(-1))
    largest = length.max(1)
    is_still = largest == 0
    even = jnp.where(is_still, 1.0, length.mean(1) / jnp.where(is_still, 1.0, largest))
    return even.mean()


def prior_mismatch(
    mean: Float[Array, "example latent"], logvar: Float[Array, "example latent"]
) -> Float[Array, ""]:
    """KL(N(m, S) || N(0, 1)) of the moments of the aggregate posterior, in nats.

    m and S are mean and covariance, with divisor `example`, of the mixture of the
    posteriors N(mean, exp(logvar)). No law of these moments is nearer to the prior, so
    that this is a lower bound of the mixture's own divergence. Codes without width have
    a `logvar` of -inf; it is infinite where they leave a direction empty.

    Raises:
        ValueError: If the shapes differ.
    """
    require_equal_shapes("prior_mismatch", mean=mean, logvar=logvar)
    mean, logvar = at_least_float32(mean), at_least_float32(logvar)
    centre = mean.mean(0)
    centred = mean - centre[None]
    covariance = jnp.matmul(centred.T, centred, precision="highest") / len(mean)
    covariance += jnp.diag(jnp.exp(logvar).mean(0))
    log_volume = jnp.linalg.slogdet(covariance)[1]
    surplus = jnp.trace(covariance) + jnp.square(centre).sum() - mean.shape[1]
    return 0.5 * (surplus - log_volume)


def _squared_distances(
    rows: Float[Array, "row pixel"], others: Float[Array, "other pixel"]
) -> Float[Array, "row other"]:
    products = jnp.matmul(rows, others.T, precision="highest")
    squares = (jnp.square(values).sum(-1) for values in (rows, others))
    return jnp.add.outer(*squares) - 2 * products
