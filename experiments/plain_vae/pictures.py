"""The pictures of the command: what is drawn, from where, and how it came to be."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from experiments.family import fit, page
from experiments.plain_vae import collapse as collapsing
from experiments.plain_vae import settings
from experiments.plain_vae.runs import Runs
from vae_jax import attention, latent, objectives, plots
from vae_jax.report.html import Plate

SHOWN = 10
STEPS = 12
"""Of an interpolation."""
MANIFOLD = 20
"""Images along each side of the manifold."""
TRAVERSED = 10
"""Latents at most, those of the largest KL."""
EXPLAINED = 4
FIGURES = {
    "distortion": "distortion (nats)",
    "rate": "rate (nats)",
    "negative_elbo": "-ELBO (nats)",
}


def draw_curves(
    path: Path, trained: fit.Trained, names: Sequence[str], *, shown: Sequence[str]
) -> Plate:
    """Distortion, rate and plain ELBO over training, a line a setting."""
    steps = np.array([line["step"] for line in trained.history])
    metrics = {
        title: {
            name: np.array([line[key] for line in trained.history]).T[
                names.index(name) :: len(names)
            ]
            for name in shown
        }
        for key, title in FIGURES.items()
    }
    plots.save_metric_curves(path, steps, metrics, title="Test images")
    note = "The plain -ELBO, of weight 1, whatever was minimised; bands span the seeds."
    return page.plate(path, "Training", note)


def draw_reconstructions(path: Path, runs: Runs) -> Plate:
    """Images, and what each network makes of its posterior mean."""
    names = [*settings.BY_BETA.values(), settings.AE]
    rows = [runs.decode(n)(jnp.asarray(runs.codes(n)[:SHOWN])) for n in names]
    _grid(path, [runs.images[:SHOWN], *rows], ["image", *names], "Test images")
    return page.plate(path, "Reconstructions")


def draw_samples(path: Path, runs: Runs) -> Plate:
    """What draws from the prior decode to."""
    names = [*settings.BY_BETA.values(), settings.AE]
    key, size = jax.random.key(3), (SHOWN, runs.built.model.latents)
    draws = jax.random.normal(key, size)
    _grid(path, [runs.decode(n)(draws) for n in names], names, "From the prior")
    note = "Nothing tells the codes of the autoencoder to lie where these draws do."
    return page.plate(path, "Draws", note)


def draw_interpolation(path: Path, runs: Runs, pair: tuple[int, int]) -> Plate:
    """A straight line between the codes of two classes, of VAE and autoencoder."""
    ends = [int(np.flatnonzero(runs.labels == label)[0]) for label in pair]
    rows = []
    for name in (settings.VAE, settings.AE):
        start, end = jnp.asarray(runs.codes(name)[ends])
        line = latent.linear_interpolation(start, end, steps=STEPS)
        rows.append(runs.decode(name)(line))
    title = f"From a {pair[0]} to a {pair[1]}"
    _grid(path, rows, [settings.VAE, settings.AE], title)
    return page.plate(path, title, "Straight lines between posterior means.")


def draw_traversals(path: Path, runs: Runs, beta: int) -> Plate:
    """What each latent does alone, the others at 0."""
    name = settings.BY_BETA[beta]
    index = runs.names.index(name)
    mean, logvar = runs.measured.mean[index], runs.measured.logvar[index]
    kl = 0.5 * (mean**2 + np.exp(logvar) - 1 - logvar).mean(0)
    order = np.argsort(-kl)[:TRAVERSED]
    within = latent.prior_range(len(kl), deviations=3.0)
    moved = latent.traversals(jnp.zeros(len(kl)), within, steps=11)[order]
    images = np.asarray(latent.decode_all(runs.decode(name), moved))
    labels = [f"z{i}: {kl[i]:.2f} nats" for i in order]
    title = f"Beta {beta}: each latent from -3 to 3"
    plots.save_traversals(path, images, labels=labels, title=title)
    return page.plate(path, title)


def draw_plane(folder: Path, plane: Runs) -> list[Plate]:
    """Codes of two latents with their labels, and what the plane decodes to."""
    scatter, manifold = folder / "codes.png", folder / "manifold.png"
    plots.save_codes(
        scatter, plane.codes(settings.VAE), plane.labels, title="Posterior means"
    )
    grid = latent.manifold_grid(steps=MANIFOLD)
    images = np.asarray(latent.decode_all(plane.decode(settings.VAE), grid))
    title = "The prior of two latents, in equally likely cells"
    plots.save_manifold(manifold, images, np.asarray(grid), title=title)
    return [
        page.plate(scatter, "Two latents", "Test images."),
        page.plate(manifold, "The plane of two latents"),
    ]


def draw_denoising(path: Path, runs: Runs) -> Plate:
    """Images of which half of the pixels is hidden, and what is made of them."""
    images = jnp.asarray(runs.images[:SHOWN])
    seen = objectives.mask_pixels(images, key=jax.random.key(2), share=settings.MASKED)
    names = [settings.VAE, settings.DENOISING_VAE, settings.AE, settings.DENOISING_AE]
    rows = []
    for name in names:
        mean, _ = runs.built.model.apply(runs.variables(name), seen, method="encode")
        rows.append(runs.decode(name)(mean))
    _grid(path, [images, seen, *rows], ["image", "seen", *names], "Half hidden")
    return page.plate(path, "Denoising")


def draw_attention(path: Path, runs: Runs) -> Plate:
    """Where in an image its strongest latents rest: gradient times pixel."""
    name = settings.VAE
    images = jnp.asarray(runs.images[:EXPLAINED])
    maps = np.asarray(
        attention.attention_maps(
            runs.built.model,
            runs.variables(name),
            images,
            tap="input",
            rule=attention.POINTWISE,
        )
    )
    mean = runs.codes(name)
    strongest = np.argsort(-mean.var(0))[:SHOWN]
    maps = maps[:, strongest]
    peak = maps.max((1, 2, 3), keepdims=True)
    rows = np.concatenate(
        [np.asarray(images).mean(-1)[:, None], maps / np.where(peak == 0, 1, peak)], 1
    )
    plots.save_image_grid(
        path,
        rows[..., None],
        rows=[f"a {label}" for label in runs.labels[:EXPLAINED]],
        columns=["image", *(f"z{i}" for i in strongest)],
        title="Attention at the pixels, each row over its peak",
    )
    note = "Of the latents whose means vary most, the pixels that raise them."
    return page.plate(path, "Where latents look", note)


def draw_collapse(folder: Path, collapse: collapsing.Collapse) -> list[Plate]:
    """The rate over training, and what is drawn from the latents of images."""
    curves, grid = folder / "collapse-training.png", folder / "collapse-draws.png"
    training = draw_curves(
        curves, collapse.trained, collapse.names, shown=collapse.names
    )
    drawn = collapsing.draws(collapse, key=jax.random.key(4))
    images = collapse.images[: collapsing.SHOWN]
    _grid(
        grid, [images, *drawn.values()], ["image", *drawn], "Drawn from their latents"
    )
    note = "Where latents are silent, what is drawn is of any class."
    return [
        dataclasses.replace(training, title="Collapse"),
        page.plate(grid, "Pixel by pixel, from the latents of the images above", note),
    ]


def _grid(
    path: Path,
    rows: Sequence[Float[Array, "column height width channel"] | np.ndarray],
    names: Sequence[str],
    title: str,
) -> None:
    images = np.stack([np.asarray(row) for row in rows])
    plots.save_image_grid(path, images, rows=names, columns=(), title=title)
