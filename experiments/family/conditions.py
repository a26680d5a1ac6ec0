"""The steps of the conditional VAE: train, judge, draw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from sklearn.neural_network import MLPClassifier

from experiments.family import fit, page
from experiments.family.settings import Family
from vae_jax import attention, losses, models, objectives, plots
from vae_jax.data.image_sets import ImageSet
from vae_jax.report.html import Plate

Images = Float[np.ndarray, "image height width channel"]
Labels = Sequence[int] | Int[np.ndarray, " image"]
STEPS = 9
"""Of a way between two styles."""
DRAWN = 10
"""Images in a row."""
LIKELIHOOD = losses.bernoulli_log_likelihood


class Space(NamedTuple):
    """A conditional VAE of each seed."""

    model: models.ConditionalVAE
    trained: fit.Trained
    seeds: list[int]

    def draw(
        self,
        run: int,
        latents: Float[np.ndarray, "image latent"],
        labels: Labels,
    ) -> Images:
        """Images of these styles and classes."""
        logits = self.model.apply(
            self.trained.variables(run),
            jnp.asarray(latents, jnp.float32),
            jnp.asarray(labels, jnp.int32),
            method="decode",
        )
        return np.asarray(jax.nn.sigmoid(cast(Array, logits)))

    def sample(self, run: int, labels: Labels, *, seed: int) -> Images:
        """Images of these classes, of styles from the prior."""
        prior: Any = self.model.apply(
            self.trained.variables(run), jnp.asarray(labels), method="prior"
        )
        noise = np.random.default_rng(seed).normal(size=prior.mean.shape)
        return self.draw(run, prior.mean + np.exp(prior.logvar / 2) * noise, labels)

    def style(
        self, run: int, images: Images, labels: Labels
    ) -> Float[np.ndarray, "image latent"]:
        """Posterior means, told the class."""
        found: Any = self.model.apply(
            self.trained.variables(run),
            jnp.asarray(images),
            jnp.asarray(labels),
            method="encode",
        )
        return np.asarray(found.mean)


def train(
    data: ImageSet,
    family: Family,
    *,
    latents: int,
    hidden: tuple[int, ...],
    embedding: int | None,
    prior: Literal["standard", "class"],
) -> Space:
    """A conditional VAE of every seed, all at once, on binarised images."""
    model = models.ConditionalVAE(
        int(data.train_labels.max()) + 1,
        latents,
        hidden,
        data.image_shape,
        embedding,
        prior,
    )
    trained = fit.train_runs(
        family.folder / "networks",
        objectives.make_conditional_loss_fn(model, LIKELIHOOD),
        lambda key: (models.init_conditional(model, key=key)["params"], {}),
        {"image": data.train_images, "label": data.train_labels.astype(np.int32)},
        family=family,
        draw=fit.make_draw(family.batch_size, binarise=True),
        epoch_steps=family.steps_per_epoch(len(data.train_images)),
        identity={
            "images": data.source,
            "latents": latents,
            "hidden": list(hidden),
            "embedding": embedding,
            "prior": prior,
        },
        epochs_per_evaluation=max(1, family.epochs // 10),
    )
    return Space(model, trained, family.all_seeds)


def train_judge(data: ImageSet, seed: int) -> MLPClassifier:
    """A classifier of the training images; it sees none that were generated."""
    judge = MLPClassifier((256,), early_stopping=True, random_state=seed, max_iter=60)
    return judge.fit(_flat(data.train_images / 255), data.train_labels)


def judge_runs(
    space: Space, judge: MLPClassifier, data: ImageSet, *, number: int
) -> list[dict[str, Any]]:
    """What each run comes to on test images, and in the eyes of the judge."""
    real = 100 * judge.score(_flat(data.test_images / 255), data.test_labels)
    classes = space.model.classes
    asked = np.resize(np.arange(classes), number)
    rows = []
    for run, seed in enumerate(space.seeds):
        generated = space.sample(run, asked, seed=seed)
        places = np.resize(np.arange(len(data.test_images)), number)
        labels = data.test_labels[places]
        others = (labels + 1 + np.arange(number) % (classes - 1)) % classes
        styles = space.style(run, data.test_images[places] / np.float32(255), labels)
        swapped = space.draw(run, styles, others)
        rows.append(
            {
                "seed": seed,
                **_bound(space, run, data, seed=seed),
                "asked": 100 * judge.score(_flat(generated), asked),
                "swapped": 100 * judge.score(_flat(swapped), others),
                "real": float(real),
            }
        )
    return rows


def draw_all(folder: Path, space: Space, data: ImageSet) -> list[Plate]:
    """The pictures of the first run, in the order of the page."""
    ways = (_draw_classes, _draw_styles, _draw_ways, _draw_maps)
    return [draw(folder, space, data) for draw in ways]


def _bound(space: Space, run: int, data: ImageSet, *, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    gray = data.test_images / np.float32(255)
    bits = (rng.random(gray.shape) < gray).astype(np.float32)
    terms = jax.jit(
        lambda images, labels: objectives.conditional_terms(
            space.model,
            LIKELIHOOD,
            space.trained.variables(run)["params"],
            images,
            labels,
            key=jax.random.key(seed),
        )
    )(bits, data.test_labels.astype(np.int32))
    return {
        "distortion": float(terms.distortion.mean()),
        "rate": float(terms.rate.mean()),
    }


def _draw_classes(folder: Path, space: Space, data: ImageSet) -> Plate:
    classes = space.model.classes
    labels = np.repeat(np.arange(classes), DRAWN)
    images = space.sample(0, labels, seed=0)
    path = folder / "classes.png"
    plots.save_image_grid(
        path,
        images.reshape(classes, DRAWN, *data.image_shape),
        rows=[str(c) for c in range(classes)],
        columns=(),
        title="Generated, a class in each row",
    )
    return page.plate(path, "Generated, a class in each row")


def _draw_styles(folder: Path, space: Space, data: ImageSet) -> Plate:
    """Of some test images: themselves, then their style in every class."""
    classes, images, labels = space.model.classes, *_one_of_each(space, data)
    styles = np.repeat(space.style(0, images, labels), classes, axis=0)
    asked = np.tile(np.arange(classes), classes)
    drawn = space.draw(0, styles, asked).reshape(classes, classes, *data.image_shape)
    path = folder / "styles.png"
    plots.save_image_grid(
        path,
        np.concatenate([images[:, None], drawn], axis=1),
        rows=[str(c) for c in range(classes)],
        columns=["image", *map(str, range(classes))],
        title="The style of an image in every class",
    )
    return page.plate(
        path,
        "The style of an image in every class",
        "A test image of each class, and what its latents become as another class.",
    )


def _draw_ways(folder: Path, space: Space, data: ImageSet) -> Plate:
    """The class stays, the style goes from one test image's to another's."""
    classes = space.model.classes
    rows = []
    for label in range(classes):
        places = np.flatnonzero(data.test_labels == label)[[0, -1]]
        images = data.test_images[places] / np.float32(255)
        start, end = space.style(0, images, [label, label])
        share = np.linspace(0, 1, STEPS)[:, None]
        rows.append(space.draw(0, (1 - share) * start + share * end, STEPS * [label]))
    path = folder / "ways.png"
    plots.save_image_grid(
        path,
        np.stack(rows),
        rows=[str(c) for c in range(classes)],
        columns=(),
        title="From one style to another, the class kept",
    )
    return page.plate(path, "From one style to another, the class kept")


def _draw_maps(folder: Path, space: Space, data: ImageSet) -> Plate:
    images, _ = _one_of_each(space, data)
    path = folder / "maps.png"
    draw_class_maps(
        path,
        space.model,
        space.trained.variables(0),
        images,
        score=attention.class_evidence(LIKELIHOOD, classes=space.model.classes),
    )
    return page.plate(
        path,
        "What speaks for each class",
        "A test image of each class, and for every class the positive part of the "
        "pixels times the gradient of the odds of the class, which the VAE has by "
        "Bayes' rule from its bounds. The brightest pixel of a row is white.",
    )


def draw_class_maps(
    path: Path,
    model: Any,
    variables: dict[str, Any],
    images: Images,
    *,
    score: attention.Score,
) -> None:
    """A row for each image: itself, then the map of every class."""
    maps = np.asarray(
        attention.attention_maps(
            model,
            variables,
            jnp.asarray(images),
            tap="input",
            score=score,
            rule=attention.POINTWISE,
        )
    )
    top = np.maximum(maps.max(axis=(1, 2, 3), keepdims=True), 1e-12)
    gray = images.mean(axis=-1)[:, None]
    classes = maps.shape[1]
    plots.save_image_grid(
        path,
        np.concatenate([gray, maps / top], axis=1)[..., None],
        rows=[""] * len(images),
        columns=["image", *map(str, range(classes))],
        title="What speaks for each class",
    )


def _one_of_each(space: Space, data: ImageSet) -> tuple[Images, list[int]]:
    labels = list(range(space.model.classes))
    places = [int(np.flatnonzero(data.test_labels == c)[0]) for c in labels]
    return data.test_images[places] / np.float32(255), labels


def _flat(images: np.ndarray) -> Float[np.ndarray, "image pixel"]:
    return images.reshape(len(images), -1)
