"""How a trained network's passes become anomaly maps: the methods that are compared."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp

from vae_jax import anomaly, attention
from vae_jax.attention import Rule, Score
from vae_jax.baselines import floors
from vae_jax.detection.evidence import Evidence
from vae_jax.detection.explainer import (
    Explainer,
    Images,
    Maps,
    input_gradient,
    residual,
    seen_again,
    whitened_residual_times_gradient,
)

MapFunction = Callable[[Explainer, Evidence, Images], Maps]
ScoreOf = Callable[[Explainer], Score]
"""A score of a network, which may need to know its likelihood."""

CALIBRATION_FLOOR = 1.0
"""Of `anomaly.calibrate`: half of the divisor of an average pixel."""
EXPECTATION_FLOOR = 0.3
"""Of `anomaly.divide_by_expected`, in units of the mean map of normal images."""


def reconstruction_error(explainer: Explainer) -> Score:
    """-log p(images | z) under the network's likelihood."""
    return attention.reconstruction_error(explainer.likelihood)


def negative_elbo(explainer: Explainer) -> Score:
    """The network's whole objective, in nats."""
    return attention.negative_elbo(explainer.likelihood)


def divergence(explainer: Explainer) -> Score:
    """KL of the posterior to the prior."""
    del explainer
    return attention.kl


def whitened(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """|W r| |W g|, smoothed: W weakens the frequencies of normal residuals."""
    maps = whitened_residual_times_gradient(
        explainer, evidence.variables, evidence.spectrum, images
    )
    return anomaly.gaussian_blur(maps, sigma=explainer.blur)


def calibrated(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """The whitened map over its mean on normal images at the pixel."""
    return anomaly.calibrate(
        whitened(explainer, evidence, images),
        evidence.usual_map,
        sigma=2 * explainer.blur,
        floor=CALIBRATION_FLOOR,
    )


def expected(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """The whitened map over what place and reconstruction let expect of it."""
    drawn, activation = seen_again(explainer, evidence.variables, images)
    usual = anomaly.expected_map(
        drawn,
        activation,
        evidence.usual_map,
        evidence.expectation,
        sigma=explainer.blur,
    )
    return anomaly.divide_by_expected(
        whitened(explainer, evidence, images),
        usual,
        floor=EXPECTATION_FLOOR * evidence.usual_map.mean(),
    )


def at_input(score_of: ScoreOf, *, times_residual: bool = False) -> MapFunction:
    """|g| or |r| |g|, smoothed, with g the gradient of a score at the input."""

    def maps(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
        score = score_of(explainer)
        gradient = input_gradient(explainer, evidence.variables, images, score=score)
        if times_residual:
            left = residual(explainer, evidence.variables, images)
            values = anomaly.residual_times_gradient(left, gradient)
        else:
            values = jnp.abs(gradient).mean(-1)
        return anomaly.gaussian_blur(values, sigma=explainer.blur)

    return maps


def attend(score: Score, rule: Rule) -> MapFunction:
    """The attention map of a score at the explainer's tap."""

    def maps(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
        return attention.attention_maps(
            explainer.model,
            evidence.variables,
            images,
            tap=explainer.tap,
            score=score,
            rule=rule,
        )

    return maps


def alone(rule: Rule) -> Rule:
    """The rule at a batch of one: else maps of different batches do not compare."""
    return dataclasses.replace(rule, grad_norm="rms_image")


def normal_difference(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """Eq. 4 at the mean of the difference posterior."""
    score = attention.normal_difference(evidence.aggregate)
    return attend(score, attention.PAPER)(explainer, evidence, images)


def absolute_residual(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """|r|."""
    return jnp.abs(residual(explainer, evidence.variables, images)).mean(-1)


def smoothed_residual(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """|r|, smoothed."""
    maps = absolute_residual(explainer, evidence, images)
    return anomaly.gaussian_blur(maps, sigma=explainer.blur)


def local_contrast(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """See `floors`."""
    del explainer, evidence
    return floors.local_contrast(images)


def distance_from_mean(
    explainer: Explainer, evidence: Evidence, images: Images
) -> Maps:
    """See `floors`."""
    del explainer
    return floors.distance_from_mean(images, evidence.mean_image)


def silhouette(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """See `floors`."""
    del explainer, evidence
    return floors.silhouette(images)


def variation(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """See `floors`."""
    del explainer
    return floors.variation(images, *evidence.gray)
