"""Scores of whole images under a VAE that has not seen one class, and their AUROC."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Bool, Float, UInt8
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from experiments.odd_one_out.training import Run
from vae_jax import anomaly, losses, metrics, models
from vae_jax.anomaly.regret import LogLikelihood, likelihood_regret
from vae_jax.data.image_sets import ImageSet
from vae_jax.detection.batches import over_batches
from vae_jax.distributions import reparameterise

HostImages = UInt8[np.ndarray, "image height width channel"]
Images = Float[Array, "batch height width channel"]
Noise = Float[Array, "sample latent"]
Scores = Float[np.ndarray, " image"]

BATCH = 100
"""Images scored at a time."""
COMPONENTS = 20
"""Of the PCA whose error is a floor: as many as the lesson's VAE has latents."""
KINDS = {
    "reconstruction": "model",
    "negative-elbo": "model",
    "kl": "model",
    "above-entropy": "corrected",
    "less-length": "corrected",
    "off-length-trend": "corrected",
    "off-ink-trend": "corrected",
    "off-both-trends": "corrected",
    "per-length": "corrected",
    "typicality": "corrected",
    "regret": "corrected",
    "length": "floor",
    "ink": "floor",
    "pca-error": "floor",
    "nearest-neighbour": "floor",
}
"""Every score that is compared, higher where more anomalous, by its name in tables."""
TRENDS = {
    "off-length-trend": ("length",),
    "off-ink-trend": ("ink",),
    "off-both-trends": ("length", "ink"),
}
"""Measures of complexity whose trend is taken off."""


class Sample(NamedTuple):
    """What a run is judged by."""

    images: HostImages
    is_odd: Bool[np.ndarray, " image"]


def sample(images: ImageSet, odd: int, *, normals: int, odds: int) -> Sample:
    """The first test images that are normal, and the first of the class left out."""
    is_odd = images.test_labels == odd
    chosen = np.concatenate(
        [np.flatnonzero(~is_odd)[:normals], np.flatnonzero(is_odd)[:odds]]
    )
    return Sample(images.test_images[chosen], is_odd[chosen])


class Network(NamedTuple):
    """A VAE, and the noise by which it scores every image."""

    model: models.VAE
    variables: Mapping[str, Any]
    noise: Float[Array, "sample latent"]


class Judged(NamedTuple):
    """What the scores of one run come to."""

    aurocs: dict[str, float]
    """Of each score of `KINDS`."""
    alarms: dict[str, tuple[float, float]]
    """Shares of normal and of odd images whose reconstruction error is above the 95th
    percentile of that of other normal images, by which these are."""


def judge(
    network: Network, found: Sample, *, training: HostImages, held_out: HostImages
) -> Judged:
    """AUROC of every score of `found`, and what a threshold makes of one of them.

    Args:
        network: Trained without the class that is odd.
        found: Normal and odd images; each is scored by itself.
        training: The normal images that it was trained on, for the floors.
        held_out: Normal images that it was not trained on, by which trends and the
            typical score are known.
    """
    of_training, of_held_out, scores = (
        over_batches(functools.partial(_model_scores, *network), x, batch_size=BATCH)
        for x in (training, held_out, found.images)
    )
    regrets = functools.partial(_regrets, *network)
    scores["regret"] = over_batches(regrets, found.images, batch_size=BATCH)
    scores |= _floors(training, found.images)
    scores |= _corrected(scores, of_held_out, found.images, held_out)
    error = scores["reconstruction"]
    alarms = {}
    for name, normal in {"training": of_training, "held-out": of_held_out}.items():
        flagged = error > np.percentile(normal["reconstruction"], 95)
        shares = (flagged[found.is_odd == is_odd].mean() for is_odd in (False, True))
        alarms[f"{name} images"] = tuple(map(float, shares))
    aurocs = {name: metrics.image_auroc(scores[name], found.is_odd) for name in KINDS}
    return Judged(aurocs, alarms)


@functools.partial(jax.jit, static_argnums=0)
def _model_scores(
    model: models.VAE, variables: Mapping[str, Any], noise: Noise, images: Images
) -> dict[str, Float[Array, " batch"]]:
    """What the VAE itself says, in nats."""
    mean, logvar = _encode(model, variables, images)
    log_likelihood = _log_likelihood(model, variables, images)

    def drawn(noise: Float[Array, " latent"]) -> Float[Array, " batch"]:
        common = jnp.broadcast_to(noise, mean.shape)
        return log_likelihood(reparameterise(mean, logvar, common))

    rate = losses.gaussian_kl(mean, logvar).sum(-1)
    return {
        "reconstruction": -log_likelihood(mean),
        "negative-elbo": rate - jax.vmap(drawn)(noise).mean(0),
        "kl": rate,
    }


@functools.partial(jax.jit, static_argnums=0)
def _regrets(
    model: models.VAE, variables: Mapping[str, Any], noise: Noise, images: Images
) -> Float[Array, " batch"]:
    posterior = _encode(model, variables, images)
    return likelihood_regret(
        _log_likelihood(model, variables, images), *posterior, noise
    )


def reconstruct(network: Network, images: Images) -> Images:
    """What the decoder draws from the posterior mean, in [0, 1]."""
    model, variables, _ = network
    mean, _ = _encode(model, variables, images)
    decoded = model.apply(variables, mean, method="decode")
    return jax.nn.sigmoid(cast(Array, decoded))


def _encode(
    model: models.VAE, variables: Mapping[str, Any], images: Images
) -> models.Posterior:
    return cast(models.Posterior, model.apply(variables, images, method="encode"))


def _log_likelihood(
    model: models.VAE, variables: Mapping[str, Any], images: Images
) -> LogLikelihood:
    def log_likelihood(latents: Array) -> Float[Array, " batch"]:
        decoded = cast(Array, model.apply(variables, latents, method="decode"))
        return losses.bernoulli_log_likelihood(images, decoded)

    return log_likelihood


def _corrected(
    scores: Mapping[str, Scores],
    normal: Mapping[str, Scores],
    images: HostImages,
    held_out: HostImages,
) -> dict[str, Scores]:
    """Reconstruction and negative ELBO less what says nothing of the class."""
    error = scores["reconstruction"]
    corrected = {
        "above-entropy": error - gray_entropy(images),
        "less-length": error - scores["length"],
        "typicality": anomaly.typicality(
            scores["negative-elbo"], normal["negative-elbo"]
        ),
    }
    corrected["per-length"] = error / scores["length"]
    known = {"length": anomaly.compressed_nats(held_out), "ink": ink(held_out)}
    for name, measures in TRENDS.items():
        complexity = np.stack([known[measure] for measure in measures], axis=1)
        trend = anomaly.fit_trend(complexity, normal["reconstruction"])
        measured = np.stack([scores[measure] for measure in measures], axis=1)
        corrected[name] = trend.standardise(measured, error)
    return corrected


def gray_entropy(images: HostImages) -> Scores:
    """The least that a Bernoulli likelihood of these gray values can cost, in nats."""
    values = images.reshape(len(images), -1) / 255
    return (scipy.special.entr(values) + scipy.special.entr(1 - values)).sum(1)


def ink(images: HostImages) -> Scores:
    """Sum of the intensities in [0, 1]."""
    return images.reshape(len(images), -1).sum(1) / 255


def _floors(training: HostImages, images: HostImages) -> dict[str, Scores]:
    known, flat = (x.reshape(len(x), -1) / 255 for x in (training, images))
    pca = PCA(min(COMPONENTS, *known.shape), random_state=0).fit(known)
    error = flat - pca.inverse_transform(pca.transform(flat))
    nearest = NearestNeighbors(n_neighbors=1).fit(known)
    return {
        "length": anomaly.compressed_nats(images),
        "ink": ink(images),
        "pca-error": np.linalg.norm(error, axis=1),
        "nearest-neighbour": nearest.kneighbors(flat)[0][:, 0],
    }


def auroc_rows(runs: Sequence[Run], judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """A row a score and seed: its AUROC by the class left out, and their mean."""
    rows = []
    for seed in sorted({run.seed for run in runs}):
        own = [
            (run, j) for run, j in zip(runs, judged, strict=True) if run.seed == seed
        ]
        for name, kind in KINDS.items():
            found = {str(run.odd): j.aurocs[name] for run, j in own}
            row = {"score": name, "kind": kind, "seed": seed}
            rows.append(row | {"mean": float(np.mean([*found.values()]))} | found)
    return rows


def alarm_rows(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """A row for each set of images that a threshold was set on: means over runs."""
    return [
        {"set_on": name}
        | {
            key: float(np.mean([j.alarms[name][place] for j in judged]))
            for place, key in enumerate(("normal", "odd"))
        }
        for name in judged[0].alarms
    ]


def over_seeds(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row a score: means over seeds, the worst class, and the deviation of the mean.

    "mean_std" is the standard deviation over seeds, with n - 1 in the divisor.
    """
    found = []
    for name, kind in KINDS.items():
        own = [row for row in rows if row["score"] == name]
        classes = [key for key in own[0] if key.isdigit()]
        means = {key: float(np.mean([row[key] for row in own])) for key in classes}
        row: dict[str, Any] = {"score": name, "kind": kind}
        row["mean"] = float(np.mean([row["mean"] for row in own]))
        if len(own) > 1:
            row["mean_std"] = float(np.std([row["mean"] for row in own], ddof=1))
        found.append(row | {"worst": min(means.values())} | means)
    return found
