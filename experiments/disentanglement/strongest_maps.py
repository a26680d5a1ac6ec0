"""Maps of the two strongest latents of an image: drawn in Figure 9, counted here."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from vae_jax import attention, models
from vae_jax.detection.explainer import encode
from vae_jax.factor_images import FactorImages

_EXAMPLES = 128


def strongest_maps(
    model: models.VAE,
    params: PyTree,
    images: Array,
    *,
    tap: str,
    rule: attention.Rule,
) -> tuple[Float[np.ndarray, "image 2 rows columns"], Int[np.ndarray, "image 2"]]:
    """Maps at the size of the images, and whose they are."""
    variables = {"params": params}
    maps = attention.attention_maps(model, variables, images, tap=tap, rule=rule)
    mean = encode(model, variables, images).mean
    chosen = attention.strongest_latents(mean)
    found = jnp.take_along_axis(maps, chosen[:, :, None, None], axis=1)
    return np.asarray(found), np.asarray(chosen)


def share_of_empty_maps(
    model: models.VAE,
    params: PyTree,
    data: FactorImages,
    *,
    tap: str,
    rule: attention.Rule,
) -> float:
    """`attention.empty_share` of the two strongest latents, on a sample of the grid."""
    size = data.grid.size
    rng = np.random.default_rng(0)
    index = jnp.asarray(rng.choice(size, min(size, _EXAMPLES), replace=False))
    maps, _ = strongest_maps(model, params, data.images(index), tap=tap, rule=rule)
    return float(attention.empty_share(jnp.asarray(maps)))
