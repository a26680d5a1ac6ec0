"""One VAE for each class left out and each seed, all trained as one program."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.family import fit
from experiments.family.settings import Family
from vae_jax import losses, models, objectives, train
from vae_jax.data.image_sets import ImageSet

SPARE = 1.5
"""Images drawn for each that is trained on, so that enough of them are normal."""


class Run(NamedTuple):
    """Which class is not normal, under which seed."""

    odd: int
    seed: int


def all_runs(odd: Sequence[int], seeds: Sequence[int]) -> list[Run]:
    """Each class with each seed."""
    return [Run(label, seed) for label in odd for seed in seeds]


def normals_first(
    images: Array, labels: Array, *, odd: Array | float, count: int
) -> Array:
    """The first `count` images that are not of the class `odd`, in their order."""
    return images[jnp.argsort(labels == odd, stable=True)[:count]]


def make_loss_fn(model: models.VAE, *, batch_size: int) -> train.TunedLossFn:
    """The negative ELBO of `batch_size` images that are not of `hyper["odd"]`."""
    elbo = objectives.make_elbo_loss_fn(model, losses.bernoulli_log_likelihood)

    def loss_fn(params, model_state, batch, *, key, step, hyper):
        images = normals_first(
            batch["image"], batch["label"], odd=hyper["odd"], count=batch_size
        )
        return elbo(params, model_state, {"image": images}, key=key, step=step)

    return loss_fn


def train_all(
    folder: Path,
    model: models.VAE,
    images: ImageSet,
    runs: Sequence[Run],
    *,
    family: Family,
    identity: Mapping[str, Any],
) -> fit.Trained:
    """Trains every run on what of `images` is normal to it."""
    odd = np.array([run.odd for run in runs], np.float32)
    count = len(images.train_images)
    normal_share = 1 - np.bincount(images.train_labels).max() / count

    def init(key):
        return models.init(model, key=key)["params"], {}

    return fit.train_runs(
        folder,
        make_loss_fn(model, batch_size=family.batch_size),
        init,
        {"image": images.train_images, "label": images.train_labels},
        family=family,
        draw=fit.make_draw(round(SPARE * family.batch_size)),
        epoch_steps=family.steps_per_epoch(round(count * normal_share)),
        identity=identity,
        seeds=[run.seed for run in runs],
        hyper={"odd": odd},
        names=[f"without {run.odd}, seed {run.seed}" for run in runs],
    )
