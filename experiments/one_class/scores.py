"""Scores of whole images under a model of one class: by maps, likelihoods, floors."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.localisation.fit import Fit
from vae_jax import anomaly, losses
from vae_jax.detection.batches import HostImages, over_batches
from vae_jax.detection.explainer import (
    Explainer,
    Images,
    Variables,
    at_posterior_mean,
    encode,
)
from vae_jax.detection.methods import DEFAULT_METHOD, HostMaps, make_maps
from vae_jax.distributions import reparameterise

Scores = Float[np.ndarray, " image"]
Noise = Float[Array, "sample latent"]

MAPS = (DEFAULT_METHOD, "paper")
"""Those whose maximum and mean are scores of the image."""
KINDS = {
    **{f"{name}-{score}": "map" for name in MAPS for score in ("max", "mean")},
    "kl": "model",
    "reconstruction": "model",
    "negative-elbo": "model",
    "importance-weighted": "model",
    "ink": "floor",
    "little-ink": "floor",
    "distance-from-mean": "floor",
    "nearest-neighbour": "floor",
}
"""Every score that is compared, higher where more anomalous, by its name in tables."""

BATCH = 100
"""Images scored at a time."""
DRAWS = 10
"""Of the posterior of each image, decoded at a time."""
PART = 500
"""Images between two movements of the bar."""


def image_scores(
    network: Fit,
    training: HostImages,
    images: HostImages,
    *,
    samples: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Scores]:
    """Every score of `KINDS`.

    Args:
        network: trained on `training`.
        training: normal images.
        images: what is scored, each by itself.
        samples: posterior samples of each image; the noise is common to all images.
        seed: of that noise.
        progress: called as (done, total) from time to time.
    """
    latents = network.explainer.model.latents
    # Flat: draws of more dimensions take long to compile.
    noise = jax.random.normal(jax.random.key(seed), (samples * latents,))
    noise = noise.reshape(samples, latents)
    parts = []
    for start in range(0, len(images), PART):
        part = images[start : start + PART]
        parts.append(
            map_scores(make_maps(MAPS, *network, part))
            | model_scores(network.explainer, network.evidence.variables, noise, part)
            | floor_scores(training, part)
        )
        progress(start + len(part), len(images))
    return {name: np.concatenate([part[name] for part in parts]) for name in KINDS}


def map_scores(maps: Mapping[str, HostMaps]) -> dict[str, Scores]:
    """The maximum and the mean of each map."""
    scores = {}
    for name, values in maps.items():
        scores[f"{name}-max"] = np.asarray(anomaly.image_score(values))
        scores[f"{name}-mean"] = np.asarray(
            anomaly.image_score(values, top_fraction=1.0)
        )
    return scores


def model_scores(
    explainer: Explainer, variables: Variables, noise: Noise, images: HostImages
) -> dict[str, Scores]:
    """What the VAE says of whole images, in nats.

    The reconstruction error is that at the posterior mean. The negative ELBO averages
    -log p(x | z) over the samples and adds the KL; the importance-weighted bound (Burda
    et al. 2016, Eq. 8) is over the same samples, and negated.
    """

    def scores_of(batch: Images) -> dict[str, Float[Array, " batch"]]:
        kl, reconstruction = _at_the_mean(explainer, variables, batch)
        chunks = jnp.array_split(noise, math.ceil(len(noise) / DRAWS))
        drawn = [_at_draws(explainer, variables, chunk, batch) for chunk in chunks]
        log_likelihood, log_weights = map(jnp.concatenate, zip(*drawn, strict=True))
        bound = losses.importance_weighted_bound(log_weights)
        return {
            "kl": kl,
            "reconstruction": reconstruction,
            "negative-elbo": kl - log_likelihood.mean(0),
            "importance-weighted": -bound,
        }

    return over_batches(scores_of, images, batch_size=BATCH)


def floor_scores(training: HostImages, images: HostImages) -> dict[str, Scores]:
    """What needs no model: the amount of ink, and distances from training images."""
    known, flat = (x.reshape(len(x), -1) / np.float32(255) for x in (training, images))
    ink = flat.sum(1)
    return {
        "ink": ink,
        "little-ink": -ink,
        "distance-from-mean": np.linalg.norm(flat - known.mean(0), axis=1),
        "nearest-neighbour": _nearest_distance(known, flat),
    }


@functools.partial(jax.jit, static_argnums=0)
def _at_the_mean(explainer: Explainer, variables: Variables, images: Images):
    output = at_posterior_mean(explainer.model, variables, images)
    kl = losses.gaussian_kl(output.mean, output.logvar).sum(-1)
    return kl, -explainer.likelihood(images, output.decoded)


@functools.partial(jax.jit, static_argnums=0)
def _at_draws(
    explainer: Explainer, variables: Variables, noise: Noise, images: Images
) -> tuple[Float[Array, "sample batch"], Float[Array, "sample batch"]]:
    """Of every draw, log p(x | z) and log p(x, z) - log q(z | x)."""
    mean, logvar = encode(explainer.model, variables, images)
    shape = (len(noise), *mean.shape)
    mean, logvar = jnp.broadcast_to(mean, shape), jnp.broadcast_to(logvar, shape)
    noise = jnp.broadcast_to(noise[:, None], shape)
    latents = reparameterise(mean, logvar, noise)
    flat = latents.reshape(-1, latents.shape[-1])
    decoded = cast(Array, explainer.model.apply(variables, flat, method="decode"))
    repeated = jnp.tile(images, (len(noise), 1, 1, 1))
    found = explainer.likelihood(repeated, decoded).reshape(shape[:-1])
    return found, losses.log_importance_weight(found, latents, noise, logvar)


def _nearest_distance(
    known: Float[np.ndarray, "training pixel"], images: Float[np.ndarray, "image pixel"]
) -> Scores:
    squares = (
        np.square(images).sum(1)[:, None]
        - 2 * images @ known.T
        + np.square(known).sum(1)
    )
    return np.sqrt(np.maximum(squares.min(1), 0))
