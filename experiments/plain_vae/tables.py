"""The numbers: what the rate's weight does, what latent spaces are worth."""

from collections.abc import Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from experiments.plain_vae import settings
from experiments.plain_vae.runs import Runs
from vae_jax import latent, objectives
from vae_jax.metrics.disentanglement.classifiers import accuracy, fit_logistic
from vae_jax.metrics.latent_space import continuity, coverage, prior_mismatch
from vae_jax.metrics.latents import latent_use
from vae_jax.report.html import Table

IMAGES = 1000
"""Test images, and as many draws, by which a latent space is judged."""
PATHS = 100
STEPS = 20
"""Of a path between two codes."""
MOST_CLASSES = 50
"""Of which a linear classifier is fitted."""


def mean_and_spread(values: Sequence[float] | np.ndarray) -> float | str:
    """One number, or of several seeds their mean and deviation."""
    values = np.asarray(values, np.float64)
    if len(values) == 1:
        return float(values[0])
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def beta_table(runs: Runs) -> Table:
    """Distortion and rate of each beta, on the test images."""
    measured = runs.measured
    rows = []
    for beta, name in settings.BY_BETA.items():
        uses = [
            int(latent_use(jnp.asarray(mean), jnp.asarray(logvar)).is_active.sum())
            for mean, logvar in zip(
                runs.by_seed(measured.mean, name),
                runs.by_seed(measured.logvar, name),
                strict=True,
            )
        ]
        parts = (measured.distortion, measured.rate, measured.negative_elbo)
        values = [mean_and_spread(runs.by_seed(part, name)) for part in parts]
        keys = ("distortion", "rate", "negative_elbo")
        row = dict(zip(keys, values, strict=True))
        rows.append({"beta": beta, **row, "active": mean_and_spread(uses)})
    return Table(
        "The weight of the rate",
        rows,
        {
            "beta": "Beta",
            "distortion": "Distortion (nats)",
            "rate": "Rate (nats)",
            "negative_elbo": "-ELBO (nats)",
            "active": "Active latents",
        },
        groups=(),
        note="Test images, one posterior sample each. Distortion and rate are the "
        "plain ones, so that -ELBO can be compared over beta.",
    )


def space_table(runs: Runs) -> Table:
    """Coverage, continuity and regularity, and what a linear classifier reads."""
    is_training = np.random.default_rng(0).permutation(len(runs.images)) % 2 == 0
    rows = []
    for name in runs.names:
        judged = [_judge(runs, index, is_training) for index in runs.places(name)]
        means = {k: mean_and_spread([j[k] for j in judged]) for k in judged[0]}
        rows.append({"setting": name, **means})
    return Table(
        "Latent spaces",
        rows,
        {
            "setting": "Network",
            "coverage": "Coverage",
            "continuity": "Continuity",
            "mismatch": "Mismatch to the prior (nats)",
            "accuracy": "Linear classifier on codes",
        },
        highest=("coverage", "continuity", "accuracy"),
        groups=(),
        note="Coverage: share of test images to which a draw from the prior is as near "
        "as their fifth neighbour (0.97 if draws were images). Continuity: how evenly "
        "images change along straight lines between codes, 1 at best. Mismatch: KL of "
        "the moments of all codes to the prior, 0 at best.",
    )


def _judge(
    runs: Runs, index: int, is_training: Bool[np.ndarray, " image"]
) -> dict[str, float]:
    variables = runs.trained.variables(index)
    mean, logvar = (jnp.asarray(x[index]) for x in runs.measured[2:])
    if not runs.hyper["noise"][index]:
        logvar = jnp.full_like(mean, -jnp.inf)  # its codes have no width

    @jax.jit
    def decode(latents: Array) -> Array:
        decoded = runs.built.model.apply(variables, latents, method="decode")
        return runs.built.as_images(cast(Array, decoded)).reshape(len(latents), -1)

    images = runs.images[:IMAGES].reshape(len(runs.images[:IMAGES]), -1)
    draws = jax.random.normal(jax.random.key(0), (len(images), mean.shape[1]))
    half = min(PATHS, len(mean) // 2)
    paths = latent.linear_interpolation(
        mean[:half], mean[half : 2 * half], steps=STEPS + 1
    )
    return {
        "coverage": float(coverage(jnp.asarray(images), _drawn(runs, decode(draws)))),
        "continuity": float(continuity(latent.decode_all(decode, paths))),
        "mismatch": float(prior_mismatch(mean, logvar)),
        "accuracy": linear_accuracy(mean, is_training, runs.labels),
    }


def _drawn(
    runs: Runs, images: Float[Array, "image pixel"]
) -> Float[Array, "image pixel"]:
    """As the test images are: of binary ones, draws rather than probabilities."""
    if not runs.is_binary:
        return images
    key = jax.random.key(1)
    return jax.random.bernoulli(key, images).astype(images.dtype)


def linear_accuracy(
    codes: Float[Array, "image latent"],
    is_training: Bool[np.ndarray, " image"],
    labels: Int[np.ndarray, " image"],
) -> float:
    """Of a logistic regression on one half of the codes, on the other half."""
    kinds, places = np.unique(labels, return_inverse=True)
    if len(kinds) > MOST_CLASSES:
        return float("nan")
    classes = jnp.asarray(places, jnp.int32)
    fitted = fit_logistic(codes[is_training], classes[is_training], size=len(kinds))
    return float(accuracy(fitted, codes[~is_training], classes[~is_training]))


def denoising_table(runs: Runs) -> Table:
    """Nats of whole images, drawn from images of which half is hidden."""
    seen = objectives.mask_pixels(
        jnp.asarray(runs.images[:IMAGES]), key=jax.random.key(2), share=settings.MASKED
    )
    rows = []
    for name in (
        settings.VAE,
        settings.DENOISING_VAE,
        settings.AE,
        settings.DENOISING_AE,
    ):
        nats = [_distortion_from(runs, index, seen) for index in runs.places(name)]
        rows.append({"setting": name, "distortion": mean_and_spread(nats)})
    return Table(
        "Half of the pixels hidden",
        rows,
        {"setting": "Network", "distortion": "Distortion of the whole image (nats)"},
        groups=(),
        note="Drawn from the posterior mean of the masked test image.",
    )


def _distortion_from(runs: Runs, index: int, seen: Array) -> float:
    variables = runs.trained.variables(index)
    noise = jnp.zeros((len(seen), runs.built.model.latents))
    output: Any = runs.built.model.apply(variables, seen, noise=noise)
    whole = jnp.asarray(runs.images[: len(seen)])
    return -float(runs.built.likelihood(whole, output.decoded).mean())


def verdicts(tables: Sequence[Table]) -> list[str]:
    """What the tables say, in sentences."""
    by_title = {table.title: table.rows for table in tables}
    first, *_, last = by_title["The weight of the rate"]
    spaces = {row["setting"]: row for row in by_title["Latent spaces"]}
    ours, theirs = spaces[settings.VAE], spaces[settings.AE]
    lines = [
        f"With beta from 1 to {last['beta']} the rate goes from {_said(first['rate'])} "
        f"to {_said(last['rate'])} nats, the distortion from "
        f"{_said(first['distortion'])} to {_said(last['distortion'])}.",
        f"Draws from the prior cover {_said(ours['coverage'])} of the test images with "
        f"the VAE and {_said(theirs['coverage'])} with its autoencoder.",
    ]
    for row in by_title.get("A decoder that can do without latents", ()):
        lines.append(
            f"Pixel by pixel, {row['rule']}: {_said(row['rate'])} nats of rate, "
            f"{row['said']}."
        )
    return lines


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"
