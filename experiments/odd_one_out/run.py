"""The way of a run: train without each class, score, compare, show."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from experiments.family import fit
from experiments.family import page as family_page
from experiments.launch import console
from experiments.odd_one_out import page, scores, training
from vae_jax import models, train
from vae_jax.data.image_sets import ImageSet
from vae_jax.data.images import to_float


class Settings(Protocol):
    """Of the command, beside those of every `Family`."""

    latents: int
    hidden: int
    training_images: int
    held_out: int
    normals: int
    odds: int
    samples: int


def run(config: Any) -> list[dict[str, Any]]:
    """Does it all; `config` is a `Family` with `Settings`."""
    images, held_out = split(fit.load(config), config)
    model = models.mlp_vae(
        image_shape=images.image_shape,
        hidden=(config.hidden, config.hidden),
        latents=config.latents,
    )
    classes = np.unique(images.test_labels).tolist()
    runs = training.all_runs(classes, config.all_seeds)
    console.say(f"training {len(runs)} networks")
    trained = training.train_all(
        config.folder / "networks",
        model,
        images,
        runs,
        family=config,
        identity=_identity(config, images),
    )
    if not train.is_primary():
        return []
    judged = _judge_all(config, model, images, held_out, runs, trained)
    rows = scores.auroc_rows(runs, judged)
    found = scores.over_seeds(rows)
    folder = config.folder
    page.draw_matrix(folder / "aurocs.png", found)
    _draw_strangers(folder / "strangers.png", config, model, images, runs, trained)
    family_page.write(
        folder,
        title="Every class as the anomaly",
        source=images.source,
        config=config,
        family=config,
        verdicts=page.verdicts(found),
        tables=[page.table(found), page.alarm_table(scores.alarm_rows(judged))],
        plates=[
            family_page.plate(folder / "strangers.png", "Strangers"),
            family_page.plate(folder / "aurocs.png", page.TITLE),
        ],
        results={"runs": rows},
        notes=page.NOTES,
    )
    return found


def split(images: ImageSet, config: Settings) -> tuple[ImageSet, ImageSet]:
    """Training images, and those held out; both with all test images.

    Raises:
        ValueError: There are not as many images as are asked for.
    """
    count, wanted = len(images.train_images), config.training_images + config.held_out
    if wanted > count:
        raise ValueError(
            f"--training-images and --held-out: {images.source} has {count} training "
            f"images, got {wanted} in all; ask for fewer."
        )
    first, last = slice(config.training_images), slice(count - config.held_out, None)
    return _part(images, first), _part(images, last)


def _part(images: ImageSet, which: slice) -> ImageSet:
    return dataclasses.replace(
        images,
        train_images=images.train_images[which],
        train_labels=images.train_labels[which],
    )


def _identity(config: Any, images: ImageSet) -> dict[str, Any]:
    kept = ("latents", "hidden", "training_images")
    return {"source": images.source} | {name: getattr(config, name) for name in kept}


def _judge_all(
    config: Any,
    model: models.VAE,
    images: ImageSet,
    held_out: ImageSet,
    runs: Sequence[training.Run],
    trained: fit.Trained,
) -> list[scores.Judged]:
    judged = []
    with console.progress_bar("scoring") as progress:
        for i, one in enumerate(runs):
            found = scores.sample(
                images, one.odd, normals=config.normals, odds=config.odds
            )
            judged.append(
                scores.judge(
                    _network(config, model, trained, i),
                    found,
                    training=images.train_images[images.train_labels != one.odd],
                    held_out=held_out.train_images[held_out.train_labels != one.odd],
                )
            )
            progress(i + 1, len(runs))
    return judged


def _network(
    config: Any, model: models.VAE, trained: fit.Trained, run: int
) -> scores.Network:
    # Flat: draws of more dimensions take long to compile.
    count = config.samples * model.latents
    noise = jax.random.normal(jax.random.key(config.seed), (count,))
    return scores.Network(
        model, trained.variables(run), noise.reshape(config.samples, -1)
    )


def _draw_strangers(
    path: Path,
    config: Any,
    model: models.VAE,
    images: ImageSet,
    runs: Sequence[training.Run],
    trained: fit.Trained,
) -> None:
    """Of the first seed, the first test image of each class that was left out."""
    first = {run.odd: i for i, run in reversed([*enumerate(runs)])}
    shown, drawn = [], []
    for label in sorted(first):
        image = to_float(images.test_images[images.test_labels == label][:1])
        network = _network(config, model, trained, first[label])
        shown.append(image[0])
        drawn.append(np.asarray(scores.reconstruct(network, jnp.asarray(image)))[0])
    page.draw_strangers(path, np.stack(shown), np.stack(drawn), classes=sorted(first))
