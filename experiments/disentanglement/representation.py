"""What a network makes of every image of a factor grid, and figures of it."""

import functools
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from vae_jax import losses, models
from vae_jax.factor_images import FactorImages
from vae_jax.metrics import latents
from vae_jax.metrics.disentanglement import (
    FullGrid,
    Protocol,
    factor_vae_score,
)

AnyArray = Array | np.ndarray

BATCH_SIZE = 256


class Evaluation(NamedTuple):
    """What networks are evaluated on, and how: the same for curves and for tables."""

    images: FactorImages
    protocol: Protocol
    trees: bool
    """Whether tables have DCI by boosted trees too."""
    collapse_nats: float
    """A network of which no latent has this KL has collapsed."""


class Representation(NamedTuple):
    """Posteriors of all images of a grid, in its order, and how well they are drawn."""

    mean: Float[AnyArray, "image latent"]
    logvar: Float[AnyArray, "image latent"]
    distortion: Float[AnyArray, " image"]
    """-log p(x | z) in nats, at one sample of the posterior: the paper's reconstruction
    error."""

    @property
    def kl(self) -> Float[np.ndarray, "image latent"]:
        """Of each latent to its prior, in nats."""
        mean, logvar = jnp.asarray(self.mean), jnp.asarray(self.logvar)
        return np.asarray(losses.gaussian_kl(mean, logvar))


def represent(model: models.VAE, params: PyTree, data: FactorImages) -> Representation:
    """Of one network; the noise of the samples is the same for all."""
    size = data.grid.size
    batches = range(0, size, BATCH_SIZE)
    keys = jax.random.split(jax.random.key(0), len(batches))
    parts = [
        # The last batch looks again at images of its own: one program for all.
        _represent(model, params, data, (start + jnp.arange(BATCH_SIZE)) % size, key)
        for start, key in zip(batches, keys, strict=True)
    ]
    columns = zip(*jax.device_get(parts), strict=True)
    return Representation(*(np.concatenate(column)[:size] for column in columns))


@functools.partial(jax.jit, static_argnums=0)
def _represent(
    model: models.VAE,
    params: PyTree,
    data: FactorImages,
    index: Int[Array, " batch"],
    key: Array,
) -> Representation:
    images = data.images(index)
    noise = jax.random.normal(key, (len(index), model.latents))
    output = model.apply({"params": params}, images, noise=noise)
    output = cast(models.VAEOutput, output)
    likelihood = losses.bernoulli_log_likelihood(images, output.decoded)
    return Representation(output.mean, output.logvar, -likelihood)


def brief_figures(
    found: Representation, evaluation: Evaluation
) -> dict[str, float | np.ndarray]:
    """The figures that are worth their time at every evaluation; "kl" is [latent]."""
    use = latents.latent_use(jnp.asarray(found.mean), jnp.asarray(found.logvar))
    score = factor_vae_score(
        found.mean,
        FullGrid(evaluation.images.grid.sizes),
        key=jax.random.key(0),
        protocol=evaluation.protocol,
        kl=use.kl,
    )
    rate, distortion = float(use.kl.sum()), float(found.distortion.mean())
    return {
        "factor_vae": float(score.score),
        "distortion": distortion,
        "rate": rate,
        "negative_elbo": distortion + rate,
        "active_units": float(use.is_active.sum()),
        "kl": np.asarray(use.kl),
    }
