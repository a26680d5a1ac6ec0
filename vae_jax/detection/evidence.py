"""What a detector knows of the normal: a trained network's statistics of its images."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax import anomaly, attention
from vae_jax.anomaly import ChannelStatistics
from vae_jax.attention import NormalAggregate
from vae_jax.baselines.floors import GrayStatistics, gray_statistics
from vae_jax.data.category import ImageSource
from vae_jax.detection.batches import mean_over_batches, over_batches
from vae_jax.detection.explainer import (
    Explainer,
    Variables,
    activation_pair,
    encode,
    feature_taps,
    residual,
    seen_again,
    whitened_residual_times_gradient,
)

EVIDENCE_IMAGES = 256
"""Enough for means, few enough for memory at any size."""


class Evidence(NamedTuple):
    """What training leaves: the variables, and statistics of the normal images."""

    variables: Variables
    mean_image: Float[Array, "height width channel"]
    gray: GrayStatistics
    """Of each pixel, for the variation model."""
    aggregate: NormalAggregate
    """Of the posteriors, for Eq. 4."""
    spectrum: Float[Array, "height width channel"]
    """Of the residuals, see `anomaly.normal_spectrum`."""
    usual_map: Float[Array, "height width"]
    """Mean of the whitened residual x gradient."""
    expectation: Float[Array, " term"]
    """Of the same map, smoothed: the weights of `anomaly.appearance`."""
    features: dict[str, ChannelStatistics]
    """Of the activations at `feature_taps`."""
    feature_residuals: dict[str, ChannelStatistics]
    """Of the activations less those of the reconstruction."""


def gather_evidence(
    explainer: Explainer, variables: Variables, source: ImageSource
) -> Evidence:
    """The statistics of the first normal training images under a trained network."""
    images = np.stack([source[i] for i in range(min(len(source), EVIDENCE_IMAGES))])
    (mean, logvar), residuals = over_batches(
        functools.partial(_posterior_and_residual, explainer, variables), images
    )
    spectrum = jax.jit(anomaly.normal_spectrum)(residuals)
    usual_map, features, feature_residuals = mean_over_batches(
        functools.partial(_whitened_and_features, explainer, variables, spectrum),
        images,
    )
    usual_map = jnp.asarray(usual_map, jnp.float32)
    moments = mean_over_batches(
        functools.partial(_moments, explainer, variables, spectrum, usual_map), images
    )
    mean_image = images.mean(0, dtype=np.float64) / 255
    return Evidence(
        variables,
        jnp.asarray(mean_image, jnp.float32),
        gray_statistics(images),
        attention.normal_aggregate(jnp.asarray(mean), jnp.asarray(logvar)),
        spectrum,
        usual_map,
        jnp.asarray(anomaly.nonnegative_weights(*moments), jnp.float32),
        {tap: anomaly.channel_statistics(*each) for tap, each in features.items()},
        {
            tap: anomaly.channel_statistics(*each)
            for tap, each in feature_residuals.items()
        },
    )


@functools.partial(jax.jit, static_argnums=0)
def _posterior_and_residual(explainer, variables, images):
    posterior = encode(explainer.model, variables, images)
    return posterior, residual(explainer, variables, images)


@functools.partial(jax.jit, static_argnums=0)
def _whitened_and_features(explainer, variables, spectrum, images):
    maps = whitened_residual_times_gradient(explainer, variables, spectrum, images)
    of_images, of_drawn = activation_pair(explainer, variables, images)
    taps = feature_taps(explainer, variables)
    features = {tap: _channel_moments(of_images[tap]) for tap in taps}
    differences = {
        tap: _channel_moments(of_images[tap] - of_drawn[tap]) for tap in taps
    }
    return maps, features, differences


@functools.partial(jax.jit, static_argnums=0)
def _moments(explainer, variables, spectrum, usual_map, images):
    maps = whitened_residual_times_gradient(explainer, variables, spectrum, images)
    terms = anomaly.appearance(
        *seen_again(explainer, variables, images), usual_map, sigma=explainer.blur
    )
    maps = anomaly.gaussian_blur(maps, sigma=explainer.blur)
    return anomaly.moments(terms, maps)


def _channel_moments(
    activation: Float[Array, "batch rows columns channel"],
) -> tuple[Float[Array, "batch channel"], Float[Array, "batch channel channel"]]:
    """E[a] and E[a aᵀ] over the pixels of each image."""
    activation = activation.astype(jnp.float32)
    _, rows, columns, _ = activation.shape
    second = jnp.einsum("brcd,brce->bde", activation, activation, precision="highest")
    return activation.mean((1, 2)), second / (rows * columns)
