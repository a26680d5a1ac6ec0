"""Log-likelihoods of whole images, summed over pixels and channels, in nats."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, ScalarLike, Shaped

from vae_jax import distributions
from vae_jax.arrays import (
    at_least_float32,
    require_equal_shapes,
    require_floating,
    require_pixels,
    require_pixels_or_bits,
    require_scalar_or_shape,
)

_GRAY_LEVEL = 1 / 255
"""The least deviation of a pixel; the density of narrower ones has no bound."""


def bernoulli_log_likelihood(
    images: Shaped[Array, " batch *event"], logits: Float[Array, " batch *event"]
) -> Float[Array, " batch"]:
    """Bernoulli log p(images | logits); grey levels in [0, 1] are welcome.

    Raises:
        ValueError: If the shapes differ, or images are neither floating-point in
            [0, 1], as far as that is known, nor booleans, nor integers known as 0 and 1
            (inside jit none are).
    """
    require_equal_shapes("bernoulli_log_likelihood", images=images, logits=logits)
    require_pixels_or_bits("bernoulli_log_likelihood", images)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        images = images.astype(logits.dtype)
    return _sum_event(distributions.bernoulli_log_prob(images, logits))


def gaussian_log_likelihood(
    images: Num[Array, " batch *event"],
    mean: Float[Array, " batch *event"],
    *,
    logvar: Float[Array, " batch *event"] | ScalarLike,
) -> Float[Array, " batch"]:
    """Gaussian log-density N(images; mean, exp(logvar)), its constant included.

    `logvar` is a number (fixed), a scalar array (learned, shared) or one per pixel.

    Raises:
        ValueError: If the shapes differ, or images are no floating-point numbers.
    """
    require_equal_shapes("gaussian_log_likelihood", images=images, mean=mean)
    require_scalar_or_shape("gaussian_log_likelihood", mean.shape, logvar=logvar)
    require_floating("gaussian_log_likelihood", images)
    return _sum_event(distributions.normal_log_prob(images, mean, logvar))


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


def learned_gaussian(
    parameters: Float[Array, "*shape parameter"],
    *,
    least_deviation: float = _GRAY_LEVEL,
) -> tuple[Float[Array, "*shape channel"], Float[Array, "*shape channel"]]:
    """Mean and log-variance of pixels whose decoder says both.

    The first half of `parameters` are the means, the second is softly kept above the
    log-variance of `least_deviation`, one gray level: the density of a pixel that never
    changes, as the edges of digits are, would otherwise grow without bound. Where such
    pixels are many, they are still most of the likelihood, unless it is larger.

    Raises:
        ValueError: If the number of parameters is odd.

    Source: of the soft bound, Rybkin et al. 2021 (sigma-VAE), section 3.3.
    """
    if parameters.shape[-1] % 2:
        raise ValueError(
            "learned_gaussian: each pixel needs a mean and a log-variance for each "
            f"channel, got {parameters.shape[-1]} parameters; wrap the decoder in "
            "models.PixelParameters or models.SharedVariance."
        )
    mean, logvar = jnp.split(parameters, 2, axis=-1)
    least = 2 * math.log(least_deviation)
    return mean, least + jax.nn.softplus(logvar - least)


def learned_gaussian_log_likelihood(
    images: Num[Array, "batch height width channel"],
    parameters: Float[Array, "batch height width parameter"],
    *,
    least_deviation: float = _GRAY_LEVEL,
) -> Float[Array, " batch"]:
    """Gaussian log-density with the variance that the decoder says, in nats.

    The arguments and errors are those of `learned_gaussian`, and of
    `gaussian_log_likelihood`.
    """
    mean, logvar = learned_gaussian(parameters, least_deviation=least_deviation)
    return gaussian_log_likelihood(images, mean, logvar=logvar)


def discretised_logistic_mixture_log_likelihood(
    images: Num[Array, "batch height width channel"],
    parameters: Float[Array, "batch height width parameter"],
) -> Float[Array, " batch"]:
    """Log-probability of 8-bit images under a mixture of logistics per pixel.

    For M components, `parameter` is 3 M (grey) or 10 M (colour); its layout is that of
    `distributions.discretised_logistic_mixture_log_prob`.

    Raises:
        ValueError: As there, or if images are not floating-point in [0, 1], as far as
            that is known.
    """
    require_pixels("discretised_logistic_mixture_log_likelihood", images)
    return _sum_event(
        distributions.discretised_logistic_mixture_log_prob(images, parameters)
    )


def _sum_event(log_prob: Float[Array, " batch *event"]) -> Float[Array, " batch"]:
    return log_prob.sum(axis=tuple(range(1, log_prob.ndim)))
