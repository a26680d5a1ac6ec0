"""What each latent of a network does alone, as a picture and as a moving one."""

from pathlib import Path

import numpy as np
from jaxtyping import Array, Float

from vae_jax import latent, plots

DEVIATIONS = 2.0
"""Of the prior: how far a traversal goes to either side."""
FRAMES = 11
"""Steps of a traversal."""


def draw_traversals(
    folder: Path,
    stem: str,
    decode: latent.Decode,
    start: Float[Array, " latent"],
    kl: Float[np.ndarray, " latent"],
    *,
    title: str,
) -> list[str]:
    """Draws a row a latent, that of the largest KL first; returns the files' names.

    Args:
        folder: of the files.
        stem: their name, without .png and .gif.
        decode: from latents [batch latent] to images in [0, 1].
        start: where all traversals pass through.
        kl: of each latent, in nats.
        title: above the picture.
    """
    order = np.argsort(-kl)
    within = latent.prior_range(len(start), deviations=DEVIATIONS)
    moved = latent.traversals(start, within, steps=FRAMES)[order]
    images = np.asarray(latent.decode_all(decode, moved))
    labels = [f"z{i}: {kl[i]:.2f} nats" for i in order]
    title = f"{title}: each latent from -{DEVIATIONS:g} to {DEVIATIONS:g}"
    for save, kind in (
        (plots.save_traversals, "png"),
        (plots.save_traversal_gif, "gif"),
    ):
        save(folder / f"{stem}.{kind}", images, labels=labels, title=title)
    return [f"{stem}.png", f"{stem}.gif"]
