"""A decoder so strong that latents fall silent, and two ways to have them speak.

Digits of half the size, binarised, pixel by pixel. Constant weight: the decoder learns
the neighbours of a pixel before the latents say anything worth their nats. Annealed:
they are free while it learns. Free bits: each has some for nothing throughout.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from experiments.family import fit
from experiments.family.settings import Family
from experiments.plain_vae import settings
from experiments.plain_vae.runs import Figures, as_trained, make_score
from vae_jax import losses, models, objectives
from vae_jax.data.image_sets import ImageSet
from vae_jax.metrics.latents import collapse_message, latent_use
from vae_jax.report.html import Table

CONSTANT, ANNEALED, FREE = "constant weight", "annealed weight", "free bits"
LATENTS = 8
FEATURES = 16
LAYERS = 3
REACH = 1
BATCH = 32
FREE_NATS = 0.5
"""For each latent."""
SILENT_NATS = 0.5
"""Of a latent's KL, below which it counts as silent."""
EVALUATIONS = 12
TEST_IMAGES = 500
SHOWN = 10


class Collapse(NamedTuple):
    """The runs, one for each rule, of the first seed alone."""

    model: models.PixelVAE
    trained: fit.Trained
    names: list[str]
    measured: Figures
    images: Float[np.ndarray, "image height width channel"]

    def message(self, run: int) -> str | None:
        """What the collapse monitor says of a run."""
        kl = losses.gaussian_kl(*map(jnp.asarray, self._posteriors(run))).mean(0)
        return collapse_message(kl, threshold_nats=SILENT_NATS)

    def active(self, run: int) -> int:
        """Latents whose mean moves with the image."""
        use = latent_use(*map(jnp.asarray, self._posteriors(run)))
        return int(use.is_active.sum())

    def _posteriors(self, run: int) -> tuple[np.ndarray, np.ndarray]:
        return self.measured.mean[run], self.measured.logvar[run]


def train_collapse(images: ImageSet, family: Family, *, steps: int) -> Collapse:
    """Trains the three rules as one program."""
    small = halved(images.train_images)
    test = as_trained(halved(images.test_images[:TEST_IMAGES]), binarise=True)
    model = _build(small.shape[1:])
    likelihood = losses.bernoulli_log_likelihood
    warmup = max(1, steps // 2)
    names = [CONSTANT, ANNEALED, FREE]
    hyper = {
        "warmup_steps": np.array([1, warmup, 1], np.int32),
        "free_bits": np.array([0, 0, FREE_NATS], np.float32),
    }
    score = make_score(model, likelihood)

    def evaluate(state) -> dict[str, np.ndarray]:
        figures = score(state.params, np.ones(3, np.float32), test)
        parts = {"distortion": figures.distortion, "rate": figures.rate}
        return parts | {"negative_elbo": figures.negative_elbo}

    # In the place of epochs, which would be as long as the data set is large.
    blocks = dataclasses.replace(family, epochs=EVALUATIONS)
    trained = fit.train_runs(
        settings.folder_of(family, "collapse"),
        objectives.make_elbo_loss_fn(model, likelihood, schedule=_warm_up),
        lambda key: (models.init(model, key=key)["params"], {}),
        {"image": jnp.asarray(small)},
        family=blocks,
        draw=fit.make_draw(BATCH, binarise=True),
        epoch_steps=max(1, steps // EVALUATIONS),
        identity={"images": images.source, "steps": steps},
        seeds=[family.seed] * len(names),
        hyper=hyper,
        names=names,
        evaluate=evaluate,
    )
    measured = score(trained.params, np.ones(3, np.float32), test)
    return Collapse(model, trained, names, measured, test)


def halved(
    images: UInt8[np.ndarray, "image height width channel"],
) -> UInt8[np.ndarray, "image rows columns 1"]:
    """Gray, each 2x2 pixels as their mean; of an odd side the last are left out."""
    height, width = (size // 2 * 2 for size in images.shape[1:3])
    gray = images[:, :height, :width].mean(-1)
    blocks = gray.reshape(len(images), height // 2, 2, width // 2, 2)
    return np.rint(blocks.mean((2, 4)))[..., None].astype(np.uint8)


def collapse_table(collapse: Collapse) -> Table:
    """What each rule came to, on test images."""
    measured = collapse.measured
    rows = [
        {
            "rule": name,
            "distortion": float(measured.distortion[i]),
            "rate": float(measured.rate[i]),
            "negative_elbo": float(measured.negative_elbo[i]),
            "active": collapse.active(i),
            "said": "posterior collapse" if collapse.message(i) else "alive",
        }
        for i, name in enumerate(collapse.names)
    ]
    return Table(
        "A decoder that can do without latents",
        rows,
        {
            "rule": "Rate",
            "distortion": "Distortion (nats)",
            "rate": "Rate (nats)",
            "negative_elbo": "-ELBO (nats)",
            "active": f"Active of {LATENTS}",
            "said": "Collapse monitor",
        },
        groups=(),
        note="Autoregressive decoder, binarised images of half the size. A collapsed "
        "run may have the better ELBO: what it lost is its latents, not its density.",
    )


def draws(collapse: Collapse, *, key: Array) -> dict[str, np.ndarray]:
    """Of each rule, images from the latents of the first test images.

    Where latents are silent these have nothing to do with the images.
    """
    sample = jax.jit(lambda *args: models.sample_pixels(collapse.model, *args, key=key))
    return {
        name: np.asarray(
            sample(
                collapse.trained.variables(i),
                jnp.asarray(collapse.measured.mean[i, :SHOWN]),
            )
        )
        for i, name in enumerate(collapse.names)
    }


def _build(image_shape: tuple[int, ...]) -> models.PixelVAE:
    height, width, channels = image_shape
    context = models.MLPDecoder((128,), (height, width, FEATURES))
    return models.PixelVAE(
        models.MLPEncoder((256,), LATENTS),
        models.AutoregressiveDecoder(
            context,
            (height, width, channels),
            features=FEATURES,
            layers=LAYERS,
            reach=REACH,
        ),
    )


def _warm_up(step: Array, hyper: Mapping[str, Array]) -> Array:
    return losses.linear_beta(step, warmup_steps=hyper["warmup_steps"])
