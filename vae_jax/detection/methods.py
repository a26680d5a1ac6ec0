"""Anomaly maps by the names they have in tables: attention, baselines and floors."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax import attention, losses
from vae_jax.attention import OFFICIAL, PAPER, REPRO2021, sum_of_latents
from vae_jax.detection import ablation, maps
from vae_jax.detection.batches import HostImages, over_batches
from vae_jax.detection.evidence import Evidence
from vae_jax.detection.explainer import Explainer, Images, Maps, encode
from vae_jax.detection.maps import MapFunction, at_input, attend

HostMaps = Float[np.ndarray, "image height width"]
Kind = Literal["attention", "baseline", "floor"]


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
    method = (METHODS | ABLATION)[base]
    if not tap:
        return method

    def maps(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
        return method.maps(dataclasses.replace(explainer, tap=tap), evidence, images)

    return Method(method.kind, maps)


def make_maps(
    methods: Sequence[str], explainer: Explainer, evidence: Evidence, images: HostImages
) -> dict[str, HostMaps]:
    """The raw maps of some methods at the model's resolution, by name."""
    meant = {name: _meant_by(name, explainer) for name in methods}
    if not len(images):
        return {name: np.zeros(images.shape[:3], np.float32) for name in meant}
    names = tuple(dict.fromkeys(meant.values()))
    maps = over_batches(lambda x: _maps_of(names, explainer, evidence, x), images)
    return {name: maps[own] for name, own in meant.items()}


def _meant_by(name: str, explainer: Explainer) -> str:
    return explainer.choice if name == DEFAULT_METHOD else name


def _chosen(explainer: Explainer, evidence: Evidence, images: Images) -> Maps:
    return lookup(explainer.choice).maps(explainer, evidence, images)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _maps_of(
    names: tuple[str, ...], explainer: Explainer, evidence: Evidence, images: Images
) -> dict[str, Maps]:
    """One compiled program for all methods: they share the passes that they need."""
    return {name: lookup(name).maps(explainer, evidence, images) for name in names}


def latent_maps(
    explainer: Explainer,
    evidence: Evidence,
    image: Float[np.ndarray, "height width channel"],
) -> tuple[Float[np.ndarray, "latent height width"], Float[np.ndarray, " latent"]]:
    """The map of each latent for one image (Eq. 1, 2), and each latent's KL in nats."""
    images = jnp.asarray(image[None])
    explain = functools.partial(
        attention.attention_maps, explainer.model, tap=explainer.tap
    )
    maps = jax.jit(explain)(evidence.variables, images)
    posterior = encode(explainer.model, evidence.variables, images)
    return np.asarray(maps[0]), np.asarray(losses.gaussian_kl(*posterior)[0])


DEFAULT_METHOD = "chosen"
"""Of `CANDIDATES`, that which a run chooses without a look at its test images."""
CANDIDATES = (
    "whitened-expected",
    "whitened-calibrated",
    "whitened",
    "residual-x-gradient",
)
"""The best on artificial defects, in the mean over the synthetic categories and screw,
come first."""
METHODS = {
    DEFAULT_METHOD: Method("attention", _chosen),
    "whitened-expected": Method("attention", maps.expected),
    "whitened-calibrated": Method("attention", maps.calibrated),
    "whitened": Method("attention", maps.whitened),
    "residual-x-gradient": Method(
        "attention", at_input(maps.reconstruction_error, times_residual=True)
    ),
    "gradient": Method("attention", at_input(maps.reconstruction_error)),
    "kl": Method("attention", attend(attention.kl, PAPER)),
    "squared-norm": Method("attention", attend(attention.squared_norm, PAPER)),
    "normal-difference": Method("attention", maps.normal_difference),
    "paper": Method("attention", attend(sum_of_latents, PAPER)),
    "official": Method("attention", attend(sum_of_latents, maps.alone(OFFICIAL))),
    "repro2021": Method("attention", attend(sum_of_latents, maps.alone(REPRO2021))),
    "residual": Method("baseline", maps.absolute_residual),
    "residual-smoothed": Method("baseline", maps.smoothed_residual),
    "local-contrast": Method("floor", maps.local_contrast),
    "distance-from-mean": Method("floor", maps.distance_from_mean),
    "silhouette": Method("floor", maps.silhouette),
    "variation": Method("floor", maps.variation),
}
"""Every map that is compared, by the name it has in tables; the default comes first.

chosen: the candidate with the best AUPRO + IoU on artificial defects, pasted on the
validation images of the run, see `choice.choose`.

With r the residual and g the gradient of the reconstruction error at the input, all
smoothed:

gradient, residual-x-gradient: |g| and |r| |g| (Zimmerer et al. 2019).
whitened: |W r| |W g|, W weakening the frequencies that normal residuals are made of.
whitened-calibrated: the same over its mean on normal images, pixel by pixel.
whitened-expected: the same over what the reconstruction lets expect of it.
kl, squared-norm, normal-difference, paper, official, repro2021: Eq. 2 of Liu et al.
2020 at the tap, of the KL, of ||z||²/2, of Eq. 4, and of the sum of z by three rules.
"""
ABLATION = {
    "elbo-gradient": Method("attention", at_input(maps.negative_elbo)),
    "kl-gradient": Method("attention", at_input(maps.divergence)),
    "residual-x-elbo-gradient": Method(
        "attention", at_input(maps.negative_elbo, times_residual=True)
    ),
    "residual-x-kl-gradient": Method(
        "attention", at_input(maps.divergence, times_residual=True)
    ),
    "pointwise-elbo": Method("attention", ablation.at_finest_tap(maps.negative_elbo)),
    "pointwise-kl": Method("attention", ablation.at_finest_tap(maps.divergence)),
    "normal-difference-sampled": Method(
        "attention", ablation.sampled_normal_difference
    ),
    "feature-distance": Method("baseline", ablation.feature_distance),
    "feature-distance-x-attention": Method(
        "attention", ablation.feature_distance_times_attention
    ),
    "feature-residual": Method("baseline", ablation.feature_residual),
    "feature-residual-fused": Method("baseline", ablation.fused_taps),
    "restoration": Method("attention", ablation.restoration),
    "expected-feature-fused": Method("attention", ablation.fused),
}
"""What else was tried, of which none is the default; each answers a question.

elbo-gradient, kl-gradient, and times the residual: which term of the objective
localises, at the input (Zimmerer et al. 2019)?
pointwise-elbo, pointwise-kl: and at the finest tap, as sum_k |G_k A_k|?
normal-difference-sampled: does sampling Eq. 4 help?
feature-distance: do activations that are unusual localise (Mahalanobis distance of the
channels at the finest tap from normal ones)? feature-distance-x-attention: times the
attention of ||z||²/2?
feature-residual: and activations unlike those of the reconstruction? -fused: at every
resolution?
restoration: does descending to a normal image (Dehaene et al. 2020)?
expected-feature-fused: do the two best kinds agree on more than either knows?
"""
