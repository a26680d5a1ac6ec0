"""Trains all settings and seeds as one program, and measures them on test images."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from experiments.family import fit
from experiments.family.settings import Family
from experiments.plain_vae import networks, settings
from vae_jax import losses, models, objectives
from vae_jax.data.image_sets import ImageSet
from vae_jax.data.images import to_float

CHUNK = 500
"""Images that are encoded at a time."""
DURING = 1000
"""Test images by which runs are measured while they train."""
POINTS = 15
"""Of a curve over training, about."""


class Figures(NamedTuple):
    """Means over images of each run, in nats, and each run's posteriors."""

    distortion: Float[np.ndarray, " run"]
    rate: Float[np.ndarray, " run"]
    mean: Float[np.ndarray, "run image latent"]
    logvar: Float[np.ndarray, "run image latent"]

    @property
    def negative_elbo(self) -> Float[np.ndarray, " run"]:
        """Of weight 1, whatever was trained."""
        return self.distortion + self.rate


class Runs(NamedTuple):
    """Networks of all settings and seeds, and what they are measured on."""

    built: networks.Built
    trained: fit.Trained
    names: list[str]
    """Of the settings; run i has setting i modulo their number."""
    hyper: Mapping[str, np.ndarray]
    images: Float[np.ndarray, "image height width channel"]
    """Test images, as the likelihood takes them."""
    labels: Int[np.ndarray, " image"]
    measured: Figures

    def variables(self, name: str) -> dict[str, Any]:
        """Of a setting, with the first seed."""
        return self.trained.variables(self.names.index(name))

    def decode(self, name: str) -> Callable[[Array], Array]:
        """From latents to images in [0, 1]."""
        variables = self.variables(name)

        @jax.jit
        def decode(latents: Array) -> Array:
            decoded = self.built.model.apply(variables, latents, method="decode")
            return self.built.as_images(cast(Array, decoded))

        return decode

    def codes(self, name: str) -> Float[np.ndarray, "image latent"]:
        """Posterior means of the test images, with the first seed."""
        return self.measured.mean[self.names.index(name)]

    def by_seed(self, values: np.ndarray, name: str) -> np.ndarray:
        """Of [run ...] those of a setting, a row for each seed."""
        return values[self.places(name)]

    def places(self, name: str) -> range:
        """Of the runs of a setting, one for each seed."""
        return range(self.names.index(name), len(self.hyper["beta"]), len(self.names))

    @property
    def is_binary(self) -> bool:
        """Whether its pixels are zeros and ones."""
        return bool(np.isin(self.images, (0, 1)).all())


def train_settings(
    images: ImageSet,
    family: Family,
    options: settings.Options,
    given: Mapping[str, Mapping[str, float]],
    *,
    name: str,
) -> Runs:
    """Trains them, or goes on, in a folder of that name."""
    built = networks.build(
        options.network,
        options.likelihood,
        images.image_shape,
        hidden=options.hidden,
        latents=options.latents,
    )
    epoch_steps = family.steps_per_epoch(len(images.train_images))
    hyper = settings.hyper_of(given, options, family.seeds)
    test = as_trained(images.test_images, binarise=options.binarise)
    score = make_score(built.model, built.likelihood)
    few = test[:DURING]

    def evaluate(state) -> dict[str, np.ndarray]:
        figures = score(state.params, hyper["noise"], few)
        parts = {"distortion": figures.distortion, "rate": figures.rate}
        return parts | {"negative_elbo": figures.negative_elbo}

    trained = fit.train_runs(
        settings.folder_of(family, name),
        objectives.make_elbo_loss_fn(
            built.model,
            built.likelihood,
            schedule=settings.schedule_of(options, family, epoch_steps),
        ),
        lambda key: (models.init(built.model, key=key)["params"], {}),
        {"image": jnp.asarray(images.train_images)},
        family=family,
        draw=fit.make_draw(family.batch_size, binarise=options.binarise),
        epoch_steps=epoch_steps,
        identity={
            "images": images.source,
            "settings": {k: dict(v) for k, v in given.items()},
            **dataclasses.asdict(options),
        },
        seeds=[seed for seed in family.all_seeds for _ in given],
        hyper=hyper,
        names=[f"{k}, seed {seed}" for seed in family.all_seeds for k in given],
        evaluate=evaluate,
        epochs_per_evaluation=max(1, family.epochs // POINTS),
        loops=options.network == "mlp",
    )
    measured = score(trained.params, hyper["noise"], test)
    return Runs(built, trained, list(given), hyper, test, images.test_labels, measured)


def as_trained(
    images: UInt8[np.ndarray, "image height width channel"], *, binarise: bool
) -> Float[np.ndarray, "image height width channel"]:
    """In [0, 1]; binarised by one draw that is the same in every run."""
    values = to_float(images)
    if not binarise:
        return values
    draws = np.random.default_rng(0).random(values.shape, np.float32)
    return (draws < values).astype(np.float32)


def make_score(model: models.VAE, likelihood) -> Callable[..., Figures]:
    """`score(params [run ...], noise [run], images)`, at one posterior sample each."""

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0, None, None))
    def of_chunk(params, scale, images, key):
        noise = scale * jax.random.normal(key, (len(images), model.latents))
        passed = model.apply({"params": params}, images, noise=noise)
        output = cast(models.VAEOutput, passed)
        distortion = -likelihood(images, output.decoded)
        rate = losses.gaussian_kl(output.mean, output.logvar).sum(-1)
        return distortion, rate, output.mean, output.logvar

    def score(params, scale, images) -> Figures:
        starts = range(0, len(images), CHUNK)
        found = [
            jax.device_get(
                of_chunk(params, scale, images[i : i + CHUNK], jax.random.key(i))
            )
            for i in starts
        ]
        parts = [np.concatenate(part, axis=1) for part in zip(*found, strict=True)]
        distortion, rate, mean, logvar = parts
        return Figures(distortion.mean(1), rate.mean(1), mean, logvar)

    return score
