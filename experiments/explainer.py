"""A trained network as the anomaly maps need it, with statistics of normal images."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vae_jax import anomaly, attention
from vae_jax.attention import Likelihood, NormalAggregate
from vae_jax.data import pipeline
from vae_jax.data.category import ImageSource
from vae_jax.models import VAE, VAEOutput
from vae_jax.models.blocks import Posterior

Images = Float[Array, "batch height width channel"]
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


class Fitted(NamedTuple):
    """What training leaves: the variables, and statistics of the normal images."""

    variables: Variables
    mean_image: Float[Array, "height width channel"]
    aggregate: NormalAggregate
    """Of the posteriors, for Eq. 4."""
    spectrum: Float[Array, "height width channel"]
    """Of the residuals, see `anomaly.normal_spectrum`."""
    usual_map: Float[Array, "height width"]
    """Mean of the whitened residual x gradient."""


def at_posterior_mean(model: VAE, variables: Variables, images: Images) -> VAEOutput:
    """The network's output without noise, so that it does not depend on a draw."""
    noise = jnp.zeros((len(images), model.encoder.latents))
    return cast(VAEOutput, model.apply(variables, images, noise=noise))


def encode(model: VAE, variables: Variables, images: Images) -> Posterior:
    """The posterior of each image."""
    return cast(Posterior, model.apply(variables, images, method="encode"))


def residual(explainer: Explainer, variables: Variables, images: Images) -> Images:
    """The image less what the decoder draws from the posterior mean."""
    output = at_posterior_mean(explainer.model, variables, images)
    return images - explainer.as_images(output.decoded)


def input_gradient(
    explainer: Explainer, variables: Variables, images: Images
) -> Images:
    """The gradient of the reconstruction error, in nats, at the input."""
    return attention.tap_gradient(
        explainer.model,
        variables,
        images,
        tap="input",
        score=attention.reconstruction_error(explainer.likelihood),
    ).gradient


def whitened_residual_times_gradient(
    explainer: Explainer,
    variables: Variables,
    spectrum: Float[Array, "height width channel"],
    images: Images,
) -> Float[Array, "batch height width"]:
    """Both factors whitened by the spectrum of normal residuals; not yet smoothed."""
    return anomaly.residual_times_gradient(
        anomaly.whiten(residual(explainer, variables, images), spectrum),
        anomaly.whiten(input_gradient(explainer, variables, images), spectrum),
    )


def fit_normals(
    explainer: Explainer, variables: Variables, source: ImageSource
) -> Fitted:
    """The statistics of the first normal training images under a trained network."""
    images = np.stack([source[i] for i in range(min(len(source), FITTED_IMAGES))])
    (mean, logvar), residuals = over_batches(
        functools.partial(_posterior_and_residual, explainer, variables), images
    )
    spectrum = jax.jit(anomaly.normal_spectrum)(residuals)
    maps = over_batches(
        functools.partial(_whitened_maps, explainer, variables, spectrum), images
    )
    mean_image = images.mean(0, dtype=np.float64) / 255
    return Fitted(
        variables,
        jnp.asarray(mean_image, jnp.float32),
        attention.normal_aggregate(jnp.asarray(mean), jnp.asarray(logvar)),
        spectrum,
        jnp.asarray(maps.mean(0)),
    )


@functools.partial(jax.jit, static_argnums=0)
def _posterior_and_residual(explainer, variables, images):
    posterior = encode(explainer.model, variables, images)
    return posterior, residual(explainer, variables, images)


_whitened_maps = jax.jit(whitened_residual_times_gradient, static_argnums=0)


def over_batches(
    function: Callable[[Images], Any], images: HostImages, *, batch_size: int = 32
) -> Any:
    """`function` of all images, in batches of one size; a tree of numpy arrays."""
    parts = []
    for batch in pipeline.eval_batches(images, batch_size=batch_size):
        valid = batch["valid"]
        # Accelerators multiply float32 in fewer bits unless they are told not to.
        with jax.default_matmul_precision("highest"):
            result = function(jnp.asarray(batch["image"]))
        parts.append(jax.tree.map(lambda x, valid=valid: np.asarray(x)[valid], result))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
