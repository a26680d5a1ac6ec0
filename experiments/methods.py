"""Anomaly maps by the names they have in tables: attention, baselines and floors."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.explainer import (
    Explainer,
    Fitted,
    HostImages,
    Images,
    encode,
    input_gradient,
    over_batches,
    residual,
    whitened_residual_times_gradient,
)
from vae_jax import anomaly, attention, losses
from vae_jax.attention import Rule, Score
from vae_jax.baselines import floors

Maps = Float[Array, "batch height width"]
HostMaps = Float[np.ndarray, "image height width"]
Kind = Literal["attention", "baseline", "floor"]
MapFunction = Callable[[Explainer, Fitted, Images], Maps]

CALIBRATION_FLOOR = 1.0
"""Of `anomaly.calibrate`: half of the divisor of an average pixel."""


class Method(NamedTuple):
    """One way to make an anomaly map of each image."""

    kind: Kind
    maps: MapFunction


def lookup(name: str) -> Method:
    """The method of that name; `name@tap` is the method at another tap.

    Raises:
        KeyError: There is none.
    """
    base, _, tap = name.partition("@")
    method = METHODS[base]
    if not tap:
        return method

    def maps(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
        return method.maps(dataclasses.replace(explainer, tap=tap), fitted, images)

    return Method(method.kind, maps)


def make_maps(
    methods: Sequence[str], explainer: Explainer, fitted: Fitted, images: HostImages
) -> dict[str, HostMaps]:
    """The raw maps of some methods at the model's resolution, by name."""
    names = tuple(methods)
    if not len(images):
        return {name: np.zeros(images.shape[:3], np.float32) for name in names}
    return over_batches(lambda x: _maps_of(names, explainer, fitted, x), images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _maps_of(
    names: tuple[str, ...], explainer: Explainer, fitted: Fitted, images: Images
) -> dict[str, Maps]:
    """One compiled program for all methods: they share the passes that they need."""
    return {name: lookup(name).maps(explainer, fitted, images) for name in names}


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
    posterior = encode(explainer.model, fitted.variables, images)
    return np.asarray(maps[0]), np.asarray(losses.gaussian_kl(*posterior)[0])


def _whitened(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    maps = whitened_residual_times_gradient(
        explainer, fitted.variables, fitted.spectrum, images
    )
    return anomaly.gaussian_blur(maps, sigma=explainer.blur)


def _calibrated(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    return anomaly.calibrate(
        _whitened(explainer, fitted, images),
        fitted.usual_map,
        sigma=2 * explainer.blur,
        floor=CALIBRATION_FLOOR,
    )


def _residual_times_gradient(
    explainer: Explainer, fitted: Fitted, images: Images
) -> Maps:
    maps = anomaly.residual_times_gradient(
        residual(explainer, fitted.variables, images),
        input_gradient(explainer, fitted.variables, images),
    )
    return anomaly.gaussian_blur(maps, sigma=explainer.blur)


def _gradient(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    gradient = input_gradient(explainer, fitted.variables, images)
    return anomaly.gaussian_blur(jnp.abs(gradient).mean(-1), sigma=explainer.blur)


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


def _residual(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
    return jnp.abs(residual(explainer, fitted.variables, images)).mean(-1)


def _smoothed_residual(explainer: Explainer, fitted: Fitted, images: Images) -> Maps:
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


DEFAULT_METHOD = "whitened-calibrated"
"""Of the attention methods, that with the best AUPRO + IoU on artificial defects pasted
on validation images, in the mean over the synthetic categories and screw."""
METHODS = {
    DEFAULT_METHOD: Method("attention", _calibrated),
    "whitened": Method("attention", _whitened),
    "residual-x-gradient": Method("attention", _residual_times_gradient),
    "gradient": Method("attention", _gradient),
    "kl": Method("attention", _attend(attention.kl, attention.PAPER)),
    "squared-norm": Method(
        "attention", _attend(attention.squared_norm, attention.PAPER)
    ),
    "normal-difference": Method("attention", _attend_normal_difference),
    "paper": Method("attention", _attend(attention.sum_of_latents, attention.PAPER)),
    "official": Method(
        "attention", _attend(attention.sum_of_latents, _alone(attention.OFFICIAL))
    ),
    "repro2021": Method(
        "attention", _attend(attention.sum_of_latents, _alone(attention.REPRO2021))
    ),
    "residual": Method("baseline", _residual),
    "residual-smoothed": Method("baseline", _smoothed_residual),
    "local-contrast": Method("floor", _local_contrast),
    "distance-from-mean": Method("floor", _distance_from_mean),
    "silhouette": Method("floor", _silhouette),
}
"""Every map that is compared, by the name it has in tables; the default comes first.

whitened: the residual times the gradient of the reconstruction error at the input,
both whitened by the spectrum of normal residuals. whitened-calibrated: the same,
divided by what is usual at each pixel."""
