"""More maps of the same network, each to answer what one ingredient is worth."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vae_jax import anomaly, attention
from vae_jax.attention import Rule
from vae_jax.detection.evidence import Evidence
from vae_jax.detection.explainer import (
    Explainer,
    Images,
    Maps,
    activation_pair,
    feature_taps,
    reconstruct,
)
from vae_jax.detection.maps import MapFunction, ScoreOf, expected

SAMPLES = 8
"""Draws from the difference posterior of Eq. 4."""
ABSOLUTE = Rule(term="pointwise", rectify="abs", rectify_at="channel")
"""sum_k |G_k A_k|: no pooling, and no sign."""


def at_finest_tap(score_of: ScoreOf) -> MapFunction:
    """sum_k |G_k A_k| at the finest tap, where the gradient still localises."""

    def maps(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
        return attention.attention_maps(
            explainer.model,
            evidence.variables,
            images,
            tap=feature_taps(explainer, evidence.variables)[0],
            score=score_of(explainer),
            rule=ABSOLUTE,
        )

    return maps


def sampled_normal_difference(
    explainer: Explainer, evidence: Evidence, images: Images
) -> Maps:
    """The mean map of `SAMPLES` draws of Eq. 4, which all images share."""
    latents = explainer.model.latents
    draws = jax.random.normal(jax.random.key(0), (SAMPLES, latents))
    explain = functools.partial(
        attention.attention_maps,
        explainer.model,
        evidence.variables,
        images,
        tap=explainer.tap,
        score=attention.normal_difference(evidence.aggregate),
    )

    def maps_of(draw: Array) -> Array:
        return explain(noise=jnp.broadcast_to(draw, (len(images), latents)))

    # All at once: the encoder does not depend on the draw, and runs forward once.
    return jax.vmap(maps_of)(draws).mean(0)


def feature_distance(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """Mahalanobis distance of the finest activations from those of normal images."""
    return _smooth(explainer, _finest_distance(explainer, evidence, images))


def feature_distance_times_attention(
    explainer: Explainer, evidence: Evidence, images: Images
) -> Maps:
    """The same times the attention of ||z||²/2 at that tap, without pooling."""
    weight = at_finest_tap(lambda _: attention.squared_norm)
    attended = weight(explainer, evidence, images)
    distance = _resize(_finest_distance(explainer, evidence, images), images)
    return _smooth(explainer, distance * attended)


def feature_residual(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """Mahalanobis distance of the finest activations from the reconstruction's."""
    return _smooth(explainer, _residual_distances(explainer, evidence, images)[0])


def fused_taps(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """The mean of the same over all resolutions; each has mean 1 on normal images."""
    distances = _residual_distances(explainer, evidence, images)
    resized = [_resize(distance, images) for distance in distances]
    return _smooth(explainer, functools.reduce(jnp.add, resized) / len(resized))


def fused(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """The mean of `expected` and `feature_residual`: both are about 1 where normal."""
    return 0.5 * (
        expected(explainer, evidence, images)
        + feature_residual(explainer, evidence, images)
    )


def restoration(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    """|x_T - x|, smoothed: see `anomaly.restore`."""
    restored = anomaly.restore(
        functools.partial(reconstruct, explainer, evidence.variables), images
    )
    return _smooth(explainer, jnp.abs(restored - images).mean(-1))


def _finest_distance(explainer: Explainer, evidence: Evidence, images: Images) -> Array:
    tap = feature_taps(explainer, evidence.variables)[0]
    found = attention.activations(explainer.model, evidence.variables, images)
    return anomaly.channel_distance(found[tap], evidence.features[tap])


def _residual_distances(
    explainer: Explainer, evidence: Evidence, images: Images
) -> list[Array]:
    """At each of `feature_taps`, at its resolution."""
    of_images, of_drawn = activation_pair(explainer, evidence.variables, images)
    return [
        anomaly.channel_distance(
            of_images[tap] - of_drawn[tap], evidence.feature_residuals[tap]
        )
        for tap in feature_taps(explainer, evidence.variables)
    ]


def _resize(maps: Array, images: Images) -> Array:
    return jax.image.resize(maps, images.shape[:3], "bilinear")


def _smooth(explainer: Explainer, maps: Array) -> Maps:
    size = explainer.model.image_shape[:2]
    resized = jax.image.resize(maps, (maps.shape[0], *size), "bilinear")
    return anomaly.gaussian_blur(resized, sigma=explainer.blur)
