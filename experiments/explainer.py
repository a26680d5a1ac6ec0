"""A trained network as the anomaly maps need it, with statistics of normal images."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vae_jax import anomaly, attention
from vae_jax.anomaly import ChannelStatistics
from vae_jax.attention import Likelihood, NormalAggregate, Score
from vae_jax.baselines.floors import GrayStatistics, gray_statistics
from vae_jax.data import pipeline
from vae_jax.data.category import ImageSource
from vae_jax.models import VAE, VAEOutput
from vae_jax.models.blocks import Posterior

Images = Float[Array, "batch height width channel"]
Maps = Float[Array, "batch height width"]
HostImages = UInt8[np.ndarray, "image height width channel"]
Variables = Mapping[str, Any]

FITTED_IMAGES = 256
"""Enough for means, few enough for memory at any size."""


@dataclasses.dataclass(frozen=True)
class Explainer:
    """A network with what its maps need to know about it."""

    model: VAE
    likelihood: Likelihood
    as_images: Callable[[Array], Array]
    """From the decoder's output to images in [0, 1]."""
    tap: str
    """The encoder activation that attention explains."""
    blur: float
    """Standard deviation, in pixels, that smooths residuals and input gradients."""
    choice: str = "whitened-expected"
    """The method that the method "chosen" stands for, see `choice.choose`."""


class Fitted(NamedTuple):
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


def at_posterior_mean(model: VAE, variables: Variables, images: Images) -> VAEOutput:
    """The network's output without noise, so that it does not depend on a draw."""
    noise = jnp.zeros((len(images), model.encoder.latents))
    return cast(VAEOutput, model.apply(variables, images, noise=noise))


def encode(model: VAE, variables: Variables, images: Images) -> Posterior:
    """The posterior of each image."""
    return cast(Posterior, model.apply(variables, images, method="encode"))


def reconstruct(explainer: Explainer, variables: Variables, images: Images) -> Images:
    """What the decoder draws from the posterior mean."""
    output = at_posterior_mean(explainer.model, variables, images)
    return explainer.as_images(output.decoded)


def residual(explainer: Explainer, variables: Variables, images: Images) -> Images:
    """The image less its reconstruction."""
    return images - reconstruct(explainer, variables, images)


def input_gradient(
    explainer: Explainer,
    variables: Variables,
    images: Images,
    *,
    score: Score | None = None,
) -> Images:
    """The gradient of a score, by default the reconstruction error in nats."""
    score = score or attention.reconstruction_error(explainer.likelihood)
    return attention.tap_gradient(
        explainer.model, variables, images, tap="input", score=score
    ).gradient


def feature_taps(explainer: Explainer, variables: Variables) -> tuple[str, ...]:
    """One tap of the encoder for each resolution, the finest first.

    Of several it is the last by name, which is a rectified one of our networks.
    """
    model = explainer.model
    shapes = attention.taps(model, variables, model.image_shape)
    by_size = {
        shape[:2]: name
        for name, shape in sorted(shapes.items())
        if len(shape) == 3 and name != "input"
    }
    return tuple(by_size[size] for size in sorted(by_size, reverse=True))


def activation_pair(
    explainer: Explainer, variables: Variables, images: Images
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Activations given the images, and given their reconstructions."""
    drawn = jnp.clip(reconstruct(explainer, variables, images), 0.0, 1.0)
    of_images, of_drawn = (
        attention.activations(explainer.model, variables, x) for x in (images, drawn)
    )
    return of_images, of_drawn


def whitened_residual_times_gradient(
    explainer: Explainer,
    variables: Variables,
    spectrum: Float[Array, "height width channel"],
    images: Images,
) -> Maps:
    """Both factors whitened by the spectrum of normal residuals; not yet smoothed."""
    return anomaly.residual_times_gradient(
        anomaly.whiten(residual(explainer, variables, images), spectrum),
        anomaly.whiten(input_gradient(explainer, variables, images), spectrum),
    )


def seen_again(
    explainer: Explainer, variables: Variables, images: Images
) -> tuple[Images, Float[Array, "batch rows columns feature"]]:
    """Reconstructions, and the finest activations of the encoder given them."""
    drawn = jnp.clip(reconstruct(explainer, variables, images), 0.0, 1.0)
    finest = feature_taps(explainer, variables)[0]
    return drawn, attention.activations(explainer.model, variables, drawn)[finest]


def fit_normals(
    explainer: Explainer, variables: Variables, source: ImageSource
) -> Fitted:
    """The statistics of the first normal training images under a trained network."""
    images = np.stack([source[i] for i in range(min(len(source), FITTED_IMAGES))])
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
    return Fitted(
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


def over_batches(
    function: Callable[[Images], Any], images: HostImages, *, batch_size: int = 32
) -> Any:
    """`function` of all images, in batches of one size; a tree of numpy arrays."""
    parts = list(_by_batch(function, images, batch_size))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def mean_over_batches(
    function: Callable[[Images], Any], images: HostImages, *, batch_size: int = 32
) -> Any:
    """The mean over all images of what `function` gives for each, in float64.

    Unlike `over_batches` it never holds the results of more than one batch.
    """
    total = None
    for part in _by_batch(function, images, batch_size):
        sums = jax.tree.map(lambda x: x.sum(0, dtype=np.float64), part)
        total = sums if total is None else jax.tree.map(np.add, total, sums)
    return jax.tree.map(lambda x: x / len(images), total)


def _by_batch(
    function: Callable[[Images], Any], images: HostImages, batch_size: int
) -> Iterator[Any]:
    for batch in pipeline.eval_batches(images, batch_size=batch_size):
        valid = batch["valid"]
        # Accelerators multiply float32 in fewer bits unless they are told not to.
        with jax.default_matmul_precision("highest"):
            result = function(jnp.asarray(batch["image"]))
        yield jax.tree.map(lambda x, valid=valid: np.asarray(x)[valid], result)
