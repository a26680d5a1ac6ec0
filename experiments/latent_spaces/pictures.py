"""The pictures of latent spaces: sums, the manifold, curves, the metric."""

from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.launch import console
from experiments.localisation.fit import train_network
from experiments.localisation.settings import Settings
from vae_jax import detection, latent, losses, plots
from vae_jax.data import augment, mnist
from vae_jax.data.image_sets import ImageSet
from vae_jax.data.images import to_float

CURVES = ("linear", "spherical", "geodesic")
POINTS = 31
"""Of a curve, ends included; every third is drawn."""
MANIFOLD = 20
"""Images along each side of the manifold."""
PLANE = 80
"""Places along each side of the plane at which the metric is computed."""
ROWS = 6
"""Images that are moved to other digits."""


class Space(NamedTuple):
    """A trained network as far as its latents are concerned, with test images."""

    decode: latent.Decode
    images: Float[np.ndarray, "image height width channel"]
    means: Float[np.ndarray, "image latent"]
    kl: Float[np.ndarray, " latent"]
    labels: Int[np.ndarray, " image"]

    def typical(self, digit: int) -> Float[np.ndarray, " latent"]:
        """The posterior mean that is nearest to the mean of its digit's."""
        own = self.means[self.labels == digit]
        return own[((own - own.mean(0)) ** 2).sum(-1).argmin()]


def make_space(settings: Settings, digits: ImageSet) -> Space:
    """Trains one network, or resumes it, and encodes the test images."""
    console.say(f"training with {settings.latents} latents")
    data = mnist.all_digits(digits, seed=settings.seed)
    built, variables = train_network(settings, data, augment.NONE)
    # At most so many: the pictures need no more.
    shown = jnp.asarray(to_float(digits.test_images[:1000]))
    mean, logvar = detection.encode(built.model, variables, shown)

    @jax.jit
    def decode(latents):
        decoded = built.model.apply(variables, latents, method="decode")
        return built.as_images(cast(Array, decoded))

    kl = losses.gaussian_kl(mean, logvar).mean(0)
    labels = digits.test_labels[: len(shown)]
    return Space(decode, *map(np.asarray, (shown, mean, kl, labels)))


def draw_arithmetic(path: Path, space: Space) -> None:
    """Images less the mean of their digit, plus the mean of every other one.

    What is left of an image without its digit is how it was written.
    """
    digits, first = np.unique(space.labels, return_index=True)
    codes = {d: jnp.asarray(space.means[space.labels == d]) for d in digits}
    rows = []
    for own, image in zip(digits[:ROWS], first[:ROWS], strict=True):
        start = jnp.asarray(space.means[image])
        moved = [
            latent.arithmetic(start, add=codes[other], subtract=codes[own])
            for other in digits
        ]
        drawn = latent.decode_all(space.decode, jnp.stack([start, *moved]))
        rows.append(np.concatenate([space.images[image][None], drawn]))
    plots.save_image_grid(
        path,
        np.stack(rows),
        rows=[f"a {digit}" for digit in digits[:ROWS]],
        columns=["image", "drawn", *(f"to {digit}" for digit in digits)],
        title="Latents less the mean of their digit, plus the mean of another",
    )


def draw_manifold(path: Path, space: Space) -> None:
    """What the plane of two latents decodes to."""
    grid = latent.manifold_grid(steps=MANIFOLD)
    images = np.asarray(latent.decode_all(space.decode, grid))
    title = "The prior of two latents, in equally likely cells"
    plots.save_manifold(path, images, np.asarray(grid), title=title)


def draw_curves(
    path: Path, space: Space, pairs: tuple[tuple[int, int], ...]
) -> list[dict[str, Any]]:
    """Three ways from one digit to another, a row each."""
    rows, curves = find_curves(space, pairs)
    plots.save_interpolation(
        path,
        {
            name: np.asarray(latent.decode_all(space.decode, each[:, ::3]))
            for name, each in curves.items()
        },
        {name: np.array([row[name] for row in rows]) for name in CURVES},
        title="From one posterior mean to another, and the length in image space",
    )
    return rows


def draw_plane(
    path: Path, space: Space, pairs: tuple[tuple[int, int], ...]
) -> list[dict[str, Any]]:
    """The same curves over the plane of two latents and the decoder's metric."""
    rows, curves = find_curves(space, pairs)
    reach = 1.05 * float(np.abs(space.means).max())
    places = jnp.linspace(-reach, reach, PLANE)
    plane = jnp.stack(jnp.meshgrid(places, places), axis=-1)
    metric = latent.pull_back_metric(space.decode, plane.reshape(-1, 2))
    volume = jnp.sqrt(jnp.linalg.det(metric)).reshape(plane.shape[:2])
    plots.save_metric_plane(
        path,
        np.asarray(volume),
        reach,
        codes=space.means[:300],
        labels=space.labels[:300],
        curves={name: np.asarray(each) for name, each in curves.items()},
        title="Two latents: dark where a small step changes the image much",
    )
    return rows


def find_curves(
    space: Space, pairs: tuple[tuple[int, int], ...]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The lengths of the curves, a row a pair, and the curves [pair step latent]."""
    start, end = (
        jnp.stack([jnp.asarray(space.typical(pair[side])) for pair in pairs])
        for side in (0, 1)
    )
    linear = latent.linear_interpolation(start, end, steps=POINTS)
    bent = [latent.geodesic(space.decode, line) for line in linear]
    curves = {
        "linear": linear,
        "spherical": latent.spherical_interpolation(start, end, steps=POINTS),
        "geodesic": jnp.stack([each.curve for each in bent]),
    }
    lengths = {
        name: latent.curve_length(space.decode, curve).tolist()
        for name, curve in curves.items()
    }
    rows = [
        {"latents": start.shape[-1], "from": a, "to": b}
        | {name: lengths[name][i] for name in CURVES}
        | {"is_converged": bent[i].is_converged}
        for i, (a, b) in enumerate(pairs)
    ]
    return rows, curves
