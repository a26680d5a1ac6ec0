"""Classifiers from few labels: M1, M2, both, and what knows labelled images alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree
from sklearn.neighbors import KNeighborsClassifier

from experiments.family import fit
from experiments.family.draws import CLASSES, Draws
from experiments.family.settings import Family
from vae_jax import losses, models, objectives, train
from vae_jax.data.image_sets import ImageSet

LABELLED_BATCH = 100
LEAST_DEVIATION = 0.1
"""Of a latent's mean over images: one that moves less carries nothing."""


class Inputs(NamedTuple):
    """What a classifier looks at: pixels, or the latents of M1 with their spread."""

    train: Mapping[str, np.ndarray]
    """Leaves [example ...], as `draw` takes them."""
    test: Float[np.ndarray, "test 1 feature 1"]
    shape: tuple[int, int, int]
    is_binary: bool

    @property
    def likelihood(self) -> objectives.Likelihood:
        """Of what is looked at: bits, or numbers with a variance of their own."""
        return losses.bernoulli_log_likelihood if self.is_binary else _gaussian


def pixels(data: ImageSet) -> Inputs:
    """The images themselves."""
    test = data.test_images.astype(np.float32) / 255
    return Inputs({"image": data.train_images}, test, data.image_shape, is_binary=True)


def train_m1(data: ImageSet, family: Family) -> Inputs:
    """The posteriors of a VAE of all training images, whose labels it never saw."""
    model = models.VAE(
        models.MLPEncoder((500, 500), 50, activation=jax.nn.softplus),
        models.MLPDecoder((500, 500), data.image_shape, activation=jax.nn.softplus),
    )
    family = dataclasses.replace(family, seeds=1)
    trained = fit.train_runs(
        family.folder / "m1",
        objectives.make_elbo_loss_fn(model, losses.bernoulli_log_likelihood),
        lambda key: (models.init(model, key=key)["params"], {}),
        {"image": data.train_images},
        family=family,
        draw=fit.make_draw(family.batch_size, binarise=True),
        epoch_steps=family.steps_per_epoch(len(data.train_images)),
        identity={"model": "m1", "images": data.source},
        epochs_per_evaluation=max(1, family.epochs // 10),
    )
    encode = jax.jit(
        lambda images: model.apply(trained.variables(0), images, method="encode")
    )
    found = [
        fit.in_chunks(encode, images.astype(np.float32) / 255)
        for images in (data.train_images, data.test_images)
    ]
    kept = found[0].mean.std(axis=0) > LEAST_DEVIATION
    if not kept.any():
        raise ValueError(
            f"M1 says nothing of its images yet: no latent's mean moves by "
            f"{LEAST_DEVIATION}; raise --m1-epochs."
        )
    (mean, logvar), (test, _) = [
        [np.asarray(part)[:, None, kept, None] for part in each] for each in found
    ]
    shape = (1, int(kept.sum()), 1)
    return Inputs({"mean": mean, "logvar": logvar}, test, shape, is_binary=False)


def train_m2(
    name: str,
    data: ImageSet,
    inputs: Inputs,
    draws: Draws,
    family: Family,
    *,
    hidden: tuple[int, ...],
    alpha: float,
) -> tuple[models.M2, fit.Trained]:
    """M2 of every draw of labels, all at once."""
    model = _model(inputs, hidden)
    return model, _train(
        name,
        objectives.make_m2_loss_fn(model, inputs.likelihood),
        model,
        data,
        inputs,
        draws,
        family,
        alpha=alpha,
    )


def train_supervised(
    name: str,
    data: ImageSet,
    inputs: Inputs,
    draws: Draws,
    family: Family,
    *,
    hidden: tuple[int, ...],
) -> tuple[models.M2, fit.Trained]:
    """The same classifier from the labelled images alone."""
    model = _model(inputs, hidden)

    def loss_fn(params, model_state, batch, *, key, step, hyper):
        del key, step, hyper
        logits: Any = model.apply(
            {"params": params}, batch["labelled_image"], method="classify"
        )
        loss = losses.cross_entropy(logits, batch["label"]).mean()
        return loss, train.Aux({"cross_entropy": loss}, model_state)

    return model, _train(name, loss_fn, model, data, inputs, draws, family, alpha=1.0)


def nearest_error(
    data: ImageSet, inputs: Inputs, draws: Draws
) -> Float[np.ndarray, " run"]:
    """Share of test images whose nearest labelled image is of another class."""
    everything = _all_train(inputs).reshape(len(data.train_labels), -1)
    test = inputs.test.reshape(len(inputs.test), -1)
    errors = []
    for run in range(len(draws.numbers)):
        places = draws.of_run(run)
        nearest = KNeighborsClassifier(1).fit(
            everything[places], data.train_labels[places]
        )
        errors.append(np.mean(nearest.predict(test) != data.test_labels))
    return np.array(errors)


def error(
    model: models.M2, trained: fit.Trained, data: ImageSet, inputs: Inputs
) -> Float[np.ndarray, " run"]:
    """Share of test images that each run takes for another class."""
    classify = jax.jit(
        jax.vmap(
            lambda params, images: model.apply(
                {"params": params}, images, method="classify"
            ),
            in_axes=(0, None),
            out_axes=1,
        )
    )
    logits = fit.in_chunks(lambda x: classify(trained.params, x), inputs.test)
    return np.mean(logits.argmax(-1) != data.test_labels[:, None], axis=0)


def _model(inputs: Inputs, hidden: tuple[int, ...]) -> models.M2:
    vae = models.ConditionalVAE(
        CLASSES,
        latents=50,
        hidden=hidden,
        image_shape=inputs.shape,
        outputs_per_pixel=1 if inputs.is_binary else 2,
        activation=jax.nn.softplus,
    )
    return models.M2(vae, hidden)


def _train(
    name: str,
    loss_fn: train.TunedLossFn,
    model: models.M2,
    data: ImageSet,
    inputs: Inputs,
    draws: Draws,
    family: Family,
    *,
    alpha: float,
) -> fit.Trained:
    count = len(data.train_labels)
    shares = np.array(draws.numbers, np.float32) / count
    return fit.train_runs(
        family.folder / name,
        loss_fn,
        lambda key: (models.init_conditional(model, key=key)["params"], {}),
        {**inputs.train, "label": data.train_labels},
        family=family,
        draw=_make_draw(family.batch_size, is_binary=inputs.is_binary),
        epoch_steps=family.steps_per_epoch(count),
        identity={
            "model": name,
            "images": data.source,
            "labels": draws.numbers,
            "hidden": list(model.hidden),
            "alpha": alpha,
        },
        seeds=draws.seeds,
        hyper={
            "alpha": np.full(len(shares), alpha, np.float32),
            "labelled_share": shares,
        },
        own=draws.own(),
        names=[
            f"{number} labels, seed {seed}"
            for number, seed in zip(draws.numbers, draws.seeds, strict=True)
        ],
        epochs_per_evaluation=max(1, family.epochs // 10),
    )


def _make_draw(batch_size: int, *, is_binary: bool) -> fit.Draw:
    """Images of all, and labelled images of the run's own draw."""

    def look(data: PyTree, places: Array, key: Array) -> Array:
        if is_binary:
            gray = data["image"][places].astype(jnp.float32) / 255
            return jax.random.bernoulli(key, gray).astype(jnp.float32)
        mean, logvar = data["mean"][places], data["logvar"][places]
        return mean + jnp.exp(logvar / 2) * jax.random.normal(key, mean.shape)

    def draw(data: PyTree, key: Array) -> dict[str, Array]:
        shared, own = data
        keys = jax.random.split(key, 4)
        count = len(shared["label"])
        places = jax.random.randint(keys[0], (batch_size,), 0, count)
        chosen = jax.random.randint(keys[1], (LABELLED_BATCH,), 0, own["count"])
        labelled = own["places"][chosen]
        return {
            "image": look(shared, places, keys[2]),
            "labelled_image": look(shared, labelled, keys[3]),
            "label": shared["label"][labelled],
        }

    return draw


def _all_train(inputs: Inputs) -> np.ndarray:
    if inputs.is_binary:
        return inputs.train["image"].astype(np.float32) / 255
    return np.asarray(inputs.train["mean"])


def _gaussian(images: Array, decoded: Array) -> Float[Array, " batch"]:
    """Of decoded means and log-variances."""
    mean, logvar = decoded[..., 0], decoded[..., 1]
    return losses.gaussian_log_likelihood(images, mean, logvar=logvar)
