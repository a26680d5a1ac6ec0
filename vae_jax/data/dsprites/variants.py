"""Harder images from the same factors, with numpy or with jax.

As in Locatello, Bauer, Lucic, Rätsch, Gelly, Schölkopf, Bachem, "Challenging common
assumptions in the unsupervised learning of disentangled representations", ICML 2019.
What is drawn at random is given, so these are plain arithmetic.
"""

from typing import Any

from jaxtyping import Float


def colour(
    images: Float[Any, "batch height width 1"], uniform: Float[Any, "batch 3"]
) -> Float[Any, "batch height width 3"]:
    """Color-dSprites: each sprite in one RGB colour, uniform in [1/2, 1]³.

    Args:
        images: in [0, 1].
        uniform: draws from [0, 1].
    """
    return images * (0.5 + 0.5 * uniform[:, None, None, :])


def noisy(
    images: Float[Any, "batch height width 1"],
    uniform: Float[Any, "batch height width channel"],
) -> Float[Any, "batch height width channel"]:
    """Noisy-dSprites: the sprite on a background of uniform noise, at most 1.

    Args:
        images: in [0, 1].
        uniform: draws from [0, 1]; of three channels in the paper.
    """
    return (images + uniform).clip(max=1)
