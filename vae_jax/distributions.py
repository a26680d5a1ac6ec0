"""Distributions as pure functions: log-probability in nats, sample, divergence.

Everything is elementwise or per pixel and computed in float32 at least, whatever the
precision of the arguments.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, ScalarLike

from vae_jax.arrays import (
    at_least_float32,
    require_equal_shapes,
    require_scalar_or_shape,
)

LOG_TWO_PI = 1.8378770664093453

MINIMUM_LOG_SCALE = -7.0
"""Floor of a logistic's log-scale, for pixels in [-1, 1] (PixelCNN++)."""

_NARROW = 1e-3
_HALF_BIN = 1 / 255  # 256 levels on [-1, 1] lie 2/255 apart.


def normal_log_prob(
    x: Float[Array, "*shape"],
    mean: Float[Array, "*shape"] | ScalarLike,
    logvar: Float[Array, "*shape"] | ScalarLike,
) -> Float[Array, "*shape"]:
    """Log-density of each element under N(mean, exp(logvar)), in nats.

    Raises:
        ValueError: If mean or logvar is neither a number nor of the shape of x.
    """
    require_scalar_or_shape("normal_log_prob", x.shape, mean=mean, logvar=logvar)
    x, mean, logvar = map(at_least_float32, (x, mean, logvar))
    deviations = _times_exp(x - mean, -logvar / 2)
    return -0.5 * (LOG_TWO_PI + logvar + jnp.square(deviations))


def reparameterise(
    mean: Float[Array, "*shape"],
    logvar: Float[Array, "*shape"],
    noise: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """What standard normal noise makes of N(mean, exp(logvar)): mean + deviation noise.

    Raises:
        ValueError: If the shapes differ.

    Source: Kingma and Welling 2014, section 2.4.
    """
    require_equal_shapes("reparameterise", mean=mean, logvar=logvar, noise=noise)
    mean, logvar, noise = map(at_least_float32, (mean, logvar, noise))
    return mean + _times_exp(noise, logvar / 2)


def sample_normal(
    mean: Float[Array, "*shape"],
    logvar: Float[Array, "*shape"],
    *,
    key: Key[Array, ""],
) -> Float[Array, "*shape"]:
    """A draw from N(mean, exp(logvar)), differentiable in both.

    Errors are those of `reparameterise`.
    """
    mean = at_least_float32(mean)
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    return reparameterise(mean, logvar, noise)


def normal_kl(
    mean: Float[Array, "*shape"],
    logvar: Float[Array, "*shape"],
    prior_mean: Float[Array, "*shape"] | ScalarLike,
    prior_logvar: Float[Array, "*shape"] | ScalarLike,
) -> Float[Array, "*shape"]:
    """KL(N(mean, exp(logvar)) || N(prior_mean, exp(prior_logvar))), in nats.

    Raises:
        ValueError: If the shapes differ; the prior's may be numbers.
    """
    require_equal_shapes("normal_kl", mean=mean, logvar=logvar)
    require_scalar_or_shape(
        "normal_kl", mean.shape, prior_mean=prior_mean, prior_logvar=prior_logvar
    )
    mean, logvar = at_least_float32(mean), at_least_float32(logvar)
    prior_mean, prior_logvar = map(at_least_float32, (prior_mean, prior_logvar))
    log_ratio = logvar - prior_logvar
    squared_shift = jnp.square(_times_exp(mean - prior_mean, -prior_logvar / 2))
    # expm1(r) - r keeps the digits that exp(r) - 1 - r loses near r = 0.
    return 0.5 * (squared_shift + jnp.expm1(log_ratio) - log_ratio)


def bernoulli_log_prob(
    x: Float[Array, "*shape"], logits: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Log-probability x log p + (1 - x) log(1 - p), p = sigmoid(logits), in nats.

    For 0 < x < 1 this is minus the cross-entropy, not a normalised density. The logits
    are finite.

    Raises:
        ValueError: If the shapes differ.
    """
    require_equal_shapes("bernoulli_log_prob", x=x, logits=logits)
    x, logits = at_least_float32(x), at_least_float32(logits)
    # x l - softplus(l) cancels where x is near 1 and l is large, so it is written for
    # the outcome of weight at most 1/2. Softplus has a second derivative at 0 too.
    is_mostly_one = x > 0.5
    weight = jnp.where(is_mostly_one, 1 - x, x)
    log_odds = jnp.where(is_mostly_one, -logits, logits)
    return weight * log_odds - jax.nn.softplus(log_odds)


def sample_bernoulli(
    logits: Float[Array, "*shape"], *, key: Key[Array, ""]
) -> Float[Array, "*shape"]:
    """A draw of zeros and ones, one with probability sigmoid(logits)."""
    probability = jax.nn.sigmoid(at_least_float32(logits))
    return jax.random.bernoulli(key, probability).astype(probability.dtype)


def discretised_logistic_mixture_log_prob(
    x: Float[Array, "*batch channel"], parameters: Float[Array, "*batch parameter"]
) -> Float[Array, "*batch"]:
    """Log-probability of each 8-bit pixel under a mixture of logistics, in nats.

    The 256 levels are 0, 1/255, ..., 1; the outer two own the tails. A value between
    two levels gets the mass of the bin-wide interval around it, so that the gradient
    with respect to the image exists.

    Args:
        x: Pixels in [0, 1], 1 channel, or 3 of which green is conditioned on red and
            blue on both.
        parameters: For M components, 3 M numbers per grey pixel (logits, means,
            log-scales) and 10 M per colour pixel (logits, 3 M means, 3 M log-scales,
            3 M colour coefficients). Means and scales are for pixels in [-1, 1].

    Raises:
        ValueError: If x has neither 1 nor 3 channels, or parameters is not a multiple
            of 3 or 10.

    Source: Salimans et al. 2017 (PixelCNN++), section 2.1 and 2.2.
    """
    mixture = _split_mixture(at_least_float32(parameters), channels=x.shape[-1])
    pixels = 2 * at_least_float32(x)[..., None] - 1
    means = _conditioned_on_colour(mixture.means, mixture.coefficients, pixels)
    log_masses = _log_bin_mass(pixels, means, mixture.log_scales).sum(axis=-2)
    log_weights = jax.nn.log_softmax(mixture.logits)
    return jax.nn.logsumexp(log_weights + log_masses, axis=-1)


def sample_discretised_logistic_mixture(
    parameters: Float[Array, "*batch parameter"], *, channels: int, key: Key[Array, ""]
) -> Float[Array, "*batch channel"]:
    """A draw of each pixel: one of the 256 levels of [0, 1].

    `parameters` and errors are those of `discretised_logistic_mixture_log_prob`, whose
    distribution this is exactly: colours are conditioned on already rounded ones.
    """
    mixture = _split_mixture(at_least_float32(parameters), channels=channels)
    component_key, noise_key = jax.random.split(key)
    component = jax.random.categorical(component_key, mixture.logits)
    chosen = component[..., None, None]
    means, log_scales, coefficients = (
        jnp.take_along_axis(values, chosen, axis=-1)
        for values in (mixture.means, mixture.log_scales, mixture.coefficients)
    )
    noise = jax.random.logistic(noise_key, means.shape, means.dtype)
    unconditioned = means + jnp.exp(log_scales) * noise
    pixels = jnp.zeros_like(unconditioned)
    for _ in range(channels):  # Each pass settles one more colour.
        pixels = _conditioned_on_colour(unconditioned, coefficients, pixels)
        pixels = jnp.round((pixels.clip(-1, 1) + 1) / (2 * _HALF_BIN)) * 2 / 255 - 1
    return (pixels[..., 0] + 1) / 2


def _times_exp(x: Array, exponent: Array) -> Array:
    """Of a factor x times exp(exponent), which alone may overflow where x is 0."""
    exponent = exponent.astype(jnp.result_type(x, exponent))
    largest = 0.99 * math.log(jnp.finfo(exponent.dtype).max)
    half = jnp.exp(jnp.minimum(exponent / 2, largest))
    return x * half * half


class _Mixture(NamedTuple):
    logits: Float[Array, "*batch mixture"]
    means: Float[Array, "*batch channel mixture"]
    log_scales: Float[Array, "*batch channel mixture"]
    coefficients: Float[Array, "*batch pair mixture"]


def _split_mixture(
    parameters: Float[Array, "*batch parameter"], *, channels: int
) -> _Mixture:
    if channels not in (1, 3):
        raise ValueError(
            "discretised_logistic_mixture: pixels must have 1 or 3 channels, "
            f"got {channels}."
        )
    colour_pairs = channels * (channels - 1) // 2
    groups = 1 + 2 * channels + colour_pairs
    if parameters.shape[-1] == 0 or parameters.shape[-1] % groups:
        raise ValueError(
            f"discretised_logistic_mixture: {channels}-channel pixels need a multiple "
            f"of {groups} parameters each, got {parameters.shape[-1]}."
        )
    grouped = parameters.reshape(*parameters.shape[:-1], groups, -1)
    logits, means, log_scales, coefficients = jnp.split(
        grouped, (1, 1 + channels, 1 + 2 * channels), axis=-2
    )
    log_scales = jnp.maximum(log_scales, MINIMUM_LOG_SCALE)
    return _Mixture(logits[..., 0, :], means, log_scales, jnp.tanh(coefficients))


def _conditioned_on_colour(
    means: Float[Array, "*batch channel mixture"],
    coefficients: Float[Array, "*batch pair mixture"],
    pixels: Float[Array, "*batch channel 1"],
) -> Float[Array, "*batch channel mixture"]:
    """Adds to green its share of red, and to blue its shares of red and green."""
    if means.shape[-2] == 1:
        return means
    red, green, _ = jnp.unstack(pixels, axis=-2)
    red_to_green, red_to_blue, green_to_blue = jnp.unstack(coefficients, axis=-2)
    shifts = (
        jnp.zeros_like(red_to_green),
        red_to_green * red,
        red_to_blue * red + green_to_blue * green,
    )
    return means + jnp.stack(shifts, axis=-2)


def _log_bin_mass(
    pixels: Float[Array, "*batch channel 1"],
    means: Float[Array, "*batch channel mixture"],
    log_scales: Float[Array, "*batch channel mixture"],
) -> Float[Array, "*batch channel mixture"]:
    inverse_scales = jnp.exp(-log_scales)
    upper = inverse_scales * (pixels - means + _HALF_BIN)
    lower = inverse_scales * (pixels - means - _HALF_BIN)
    is_black: Bool[Array, "*batch channel 1"] = pixels < -1 + _HALF_BIN
    is_white: Bool[Array, "*batch channel 1"] = pixels > 1 - _HALF_BIN
    # sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)): a product has
    # no difference of nearly equal numbers, so that no far bin underflows.
    log_below_upper = jnp.where(is_white, 0.0, jax.nn.log_sigmoid(upper))
    log_above_lower = jnp.where(is_black, 0.0, jax.nn.log_sigmoid(-lower))
    log_width = _log_of_bin(log_scales)
    log_inner = jnp.where(is_black | is_white, 0.0, log_width)
    return log_below_upper + log_above_lower + log_inner


def _log_of_bin(
    log_scales: Float[Array, "*batch channel mixture"],
) -> Float[Array, "*batch channel mixture"]:
    """log(1 - exp(-w)) of a bin's width w in scales, which may be too small for 1 - w.

    Of a narrow one it is log w - w/2 + w²/24, less than w⁴/2880 off.
    """
    log_width = math.log(2 * _HALF_BIN) - log_scales
    width = jnp.exp(log_width)
    is_narrow = width < _NARROW
    wide = jnp.where(is_narrow, 1.0, width)  # neither branch may divide by zero
    series = log_width - width / 2 + jnp.square(width) / 24
    return jnp.where(is_narrow, series, jnp.log(-jnp.expm1(-wide)))
