"""Anomaly maps by the names they have in tables: attention, baselines and floors."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vae_jax import anomaly, attention, losses
from vae_jax.attention import Likelihood, NormalAggregate, Rule, Score
from vae_jax.baselines import floors
from vae_jax.data import pipeline
from vae_jax.models import VAE, VAEOutput
from vae_jax.models.blocks import Posterior

Images = Float[Array, "batch height width channel"]
Maps = Float[Array, "batch height width"]
HostImages = UInt8[np.ndarray, "image height width channel"]
HostMaps = Float[np.ndarray, "image height width"]
Kind = Literal["attention", "baseline", "floor"]


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

    variables: Mapping[str, Any]
    mean_image: Float[Array, "height width channel"]
    aggregate: NormalAggregate


MapFunction = Callable[[Explainer, Fitted, Images], Maps]


class Method(NamedTuple):
    """One way to make an anomaly map of each image."""

    kind: Kind
    maps: MapFunction


def at_posterior_mean(
    model: VAE, variables: Mapping[str, Any], images: Images
) -> VAEOutput:
    """The network's output without noise, so that it does not depend on a draw."""
    noise = jnp.zeros((len(images), model.encoder.latents))
    return cast(VAEOutput, model.apply(variables, images, noise=noise))


def reconstruct(explainer: Explainer, fitted: Fitted, images: Images) -> Images:
    """What the decoder draws from the posterior mean, in [0, 1]."""
    output = at_posterior_mean(explainer.model, fitted.variables, images)
    return explainer.as_images(output.decoded)


def fit_normals(
    explainer: Explainer, variables: Mapping[str, Any], images: HostImages
) -> Fitted:
    """The statistics of normal `images` under a trained network."""
    mean, logvar = over_batches(lambda x: _encode(explainer, variables, x), images)
    mean_image = jnp.asarray(images.mean(0, dtype=np.float64) / 255, jnp.float32)
    aggregate = attention.normal_aggregate(jnp.asarray(mean), jnp.asarray(logvar))
    return Fitted(variables, mean_image, aggregate)


@functools.partial(jax.jit, static_argnums=0)
def _encode(
    explainer: Explainer, variables: Mapping[str, Any], images: Images
) -> tuple[Array, Array]:
    mean, logvar = cast(
        Posterior, explainer.model.apply(variables, images, method="encode")
    )
    return mean, logvar


def latent_maps(
    explainer: Explainer,
    fitted: Fitted,
    image: Float[np.ndarray, "height width channel"],
) -> tuple[Float[np.ndarray, "latent height width"], Float[np.ndarray, " latent"]]:
    """The map of each latent for one image (Eq. 1, 2), and each latent's KL in nats."""
    images = jnp.asarray(image[None])
    explain = functools.partial(
        attention.attention_maps, explainer.model, tap=explainer.tap
    )
    maps = jax.jit(explain)(fitted.variables, images)
    kl = losses.gaussian_kl(*_encode(explainer, fitted.variables, images))
    return np.asarray(maps[0]), np.asarray(kl[0])


def make_maps(
    methods: Sequence[str], explainer: Explainer, fitted: Fitted, images: HostImages
) -> dict[str, HostMaps]:
    """The raw maps of some methods at the model's resolution, by name."""
    names = tuple(methods)
    return over_batches(lambda x: _maps_of(names, explainer, fitted, x), images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _maps_of(
    names: tuple[str, ...], explainer: Explainer, fitted: Fitted, images: Images
) -> dict[str, Maps]:
    """One compiled program for all methods: they share the passes that they need."""
    return {name: METHODS[name].maps(explainer, fitted, images) for name in names}


def over_batches(
    function: Callable[[Images], Any], images: HostImages, *, batch_size: int = 32
) -> Any:
    """`function` of all images, in batches of one size; a tree of numpy arrays."""
    parts = []
    for batch in pipeline.eval_batches(images, batch_size=batch_size):
        valid = batch["valid"]
        result = function(jnp.asarray(batch["image"]))
        parts.append(jax.tree.map(lambda x, valid=valid: np.asarray(x)[valid], result))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _attend(score: Score, rule: Rule) -> MapFunction:
    def maps(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
        return attention.attention_maps(
            explainer.model,
            fitted.variables,
            images,
            tap=explainer.tap,
            score=score,
            rule=rule,
        )

    return maps


def _alone(rule: Rule) -> Rule:
    """The rule at a batch of one: else maps of different batches do not compare."""
    return dataclasses.replace(rule, grad_norm="rms_image")


def _attend_normal_difference(
    explainer: Explainer, fitted: Fitted, images: Images
) -> Maps:
    score = attention.normal_difference(*fitted.aggregate)
    return _attend(score, attention.PAPER)(explainer, fitted, images)


def _input_gradient(explainer: Explainer, fitted: Fitted, images: Images) -> Images:
    return attention.tap_gradient(
        explainer.model,
        fitted.variables,
        images,
        tap="input",
        score=attention.reconstruction_error(explainer.likelihood),
    ).gradient


def _gradient(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    maps = jnp.abs(_input_gradient(explainer, fitted, images)).mean(-1)
    return anomaly.gaussian_blur(maps, sigma=explainer.blur)


def _residual_times_gradient(
    explainer: Explainer, fitted: Fitted, images: Images
) -> Maps:
    maps = anomaly.residual_times_gradient(
        images,
        reconstruct(explainer, fitted, images),
        _input_gradient(explainer, fitted, images),
    )
    return anomaly.gaussian_blur(maps, sigma=explainer.blur)


def _residual(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    return anomaly.absolute_residual(images, reconstruct(explainer, fitted, images))


def _blurred_residual(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    maps = _residual(explainer, fitted, images)
    return anomaly.gaussian_blur(maps, sigma=explainer.blur)


def _local_contrast(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    del explainer, fitted
    return floors.local_contrast(images)


def _distance_from_mean(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    del explainer
    return floors.distance_from_mean(images, fitted.mean_image)


def _silhouette(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    del explainer, fitted
    return floors.silhouette(images)


DEFAULT_METHOD = "residual x gradient"
METHODS = {
    DEFAULT_METHOD: Method("attention", _residual_times_gradient),
    "gradient": Method("attention", _gradient),
    "kl": Method("attention", _attend(attention.kl, attention.PAPER)),
    "squared norm": Method(
        "attention", _attend(attention.squared_norm, attention.PAPER)
    ),
    "normal difference": Method("attention", _attend_normal_difference),
    "paper": Method("attention", _attend(attention.sum_of_latents, attention.PAPER)),
    "official": Method(
        "attention", _attend(attention.sum_of_latents, _alone(attention.OFFICIAL))
    ),
    "repro2021": Method(
        "attention", _attend(attention.sum_of_latents, _alone(attention.REPRO2021))
    ),
    "residual": Method("baseline", _residual),
    "residual, blurred": Method("baseline", _blurred_residual),
    "local contrast": Method("floor", _local_contrast),
    "distance from mean": Method("floor", _distance_from_mean),
    "silhouette": Method("floor", _silhouette),
}
"""Every map that is compared, by the name it has in tables; the default comes first."""
