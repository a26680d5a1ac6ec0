"""Normal likelihoods whose variance is found beside the mean."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from vae_jax.arrays import at_least_float32, require_equal_shapes, require_floating
from vae_jax.losses.likelihoods import gaussian_log_likelihood


def best_variance_log_likelihood(
    images: Num[Array, " batch *event"], mean: Float[Array, " batch *event"]
) -> Float[Array, " batch"]:
    """Log N(images; mean, variance) at the likeliest variance of the batch, in nats.

    One variance for all pixels: the mean squared error of the batch, which no optimiser
    has to find. An example's value depends on its batch; the mean over the batch is
    -D/2 (log(2 pi MSE) + 1) for D pixels, and unbounded where there is no error.

    Raises:
        ValueError: If the shapes differ, or images are no floating-point numbers.

    Source: Rybkin et al. 2021 (optimal sigma-VAE), section 4.2.
    """
    name = "best_variance_log_likelihood"
    require_equal_shapes(name, images=images, mean=mean)
    require_floating(name, images)
    variance = jnp.square(at_least_float32(images) - at_least_float32(mean)).mean()
    return gaussian_log_likelihood(images, mean, logvar=jnp.log(variance))


def learned_variance_log_likelihood(
    images: Num[Array, "batch height width channel"],
    parameters: Float[Array, "batch height width parameter"],
    *,
    least_deviation: float,
) -> Float[Array, " batch"]:
    """Log N(images; mean, variance) with both from the decoder, in nats.

    The variance is least_deviation² + exp(v). Without the first term the likelihood of
    pixels that are always black has no bound, and training follows them alone.

    Args:
        images: Any floating-point values.
        parameters: Twice the channels: the means, then v.
        least_deviation: In the unit of the images. 1/(255 sqrt(12)), the deviation of
            rounding to 8 bits, is the least that says anything of a picture; 0 for a
            variance that is known to stay away from 0.

    Raises:
        ValueError: If the parameters are not two for each channel of each pixel, images
            are no floating-point numbers, or the deviation is negative.

    Source: Kingma and Welling 2014, appendix C.2; Rybkin et al. 2021 (sigma-VAE).
    """
    name = "learned_variance_log_likelihood"
    require_floating(name, images)
    if parameters.shape != (*images.shape[:-1], 2 * images.shape[-1]):
        raise ValueError(
            f"{name}: parameters must hold a mean and a log-variance for each channel, "
            f"got shape {parameters.shape} for images {images.shape}; wrap the decoder "
            "in models.PixelVariance or models.SharedVariance."
        )
    if not 0 <= least_deviation < math.inf:
        raise ValueError(
            f"{name}: least_deviation must be at least 0, got {least_deviation}."
        )
    mean, logvar = jnp.split(at_least_float32(parameters), 2, axis=-1)
    if least_deviation:
        logvar = jnp.logaddexp(logvar, 2 * math.log(least_deviation))
    return gaussian_log_likelihood(images, mean, logvar=logvar)
