"""Trains the network of a detector on normal images."""

import contextlib
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vae_jax import losses, models, objectives, train
from vae_jax.data import pipeline
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import ImageSource
from vae_jax.detection.batches import HostImages, over_batches
from vae_jax.detection.explainer import Explainer, Variables, at_posterior_mean
from vae_jax.metrics import latents

Figures = dict[str, float | np.ndarray]

SELECTED_BY = "loss"
"""The validation figure by which the best network of a run is taken."""


def initial_pixel_bias(
    explainer: Explainer, source: ImageSource
) -> Float[np.ndarray, "height width channel"]:
    """The mean training image, as the decoder would put it out."""
    total = np.zeros(source[0].shape)
    for i in range(len(source)):
        total += source[i]
    return explainer.as_decoded((total / len(source) / 255).astype(np.float32))


def train_vae(
    explainer: Explainer,
    normal: ImageSource,
    held_out: UInt8[np.ndarray, "held_out size size channel"],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    warmup_steps: int,
    clip_norm: float | None,
    beta: float,
    ema_decay: float,
    evaluations: int,
    augmentation: Augmentation,
    seed: int,
    checkpoints: train.Checkpoints | None = None,
    progress: bool = True,
) -> Variables:
    """Trains, or goes on training, and returns the best variables by validation.

    Args:
        explainer: the network and its likelihood.
        normal: images to train on.
        held_out: normal images that the best network is chosen by.
        epochs: passes over the training images; at least one step is made.
        batch_size: images in a step, over all devices of all processes.
        learning_rate: peak of Adam's step size; it falls to 0 along a cosine.
        warmup_steps: steps over which the step size rises from 0.
        clip_norm: gradient norm, in nats of an image, above which it is scaled down.
        beta: weight of the KL.
        ema_decay: of the running average of the parameters, which is evaluated.
        evaluations: validations over the run, each followed by a checkpoint.
        augmentation: what leaves a training image normal.
        seed: of initial values, noise, order and augmentation.
        checkpoints: where the run is saved and resumed from, ranked by `SELECTED_BY`;
            None keeps the best network in memory.
        progress: whether steps are told on stderr.

    Raises:
        ValueError: the batch does not divide over the devices.
        FloatingPointError: training diverged.
    """
    steps = max(1, epochs * len(normal) // batch_size)
    optimizer = train.adam(
        train.learning_rate(
            learning_rate,
            steps=steps,
            warmup_steps=min(warmup_steps, steps - 1),
            schedule="cosine",
        ),
        clip_norm=clip_norm,
    )
    mesh = train.data_mesh()
    pixel_bias = jnp.asarray(initial_pixel_bias(explainer, normal))

    def init(key: Array):
        variables = models.init(explainer.model, key=key, pixel_bias=pixel_bias)
        return variables.pop("params"), variables

    state = train.create_state(init, optimizer, key=jax.random.key(seed), mesh=mesh)
    loss_fn = objectives.make_elbo_loss_fn(
        explainer.model, explainer.likelihood, beta=beta
    )
    validate = make_validation(explainer, held_out, beta=beta)
    best = None if checkpoints else _Best(validate)
    every = math.ceil(steps / evaluations)
    with checkpoints or contextlib.nullcontext():
        state = train.fit(
            state,
            train.make_train_step(loss_fn, optimizer, ema_decay=ema_decay),
            functools.partial(_batches, normal, batch_size, seed, augmentation),
            steps=steps,
            mesh=mesh,
            checkpoints=checkpoints,
            evaluate=best or validate,
            evaluate_every=every,
            checkpoint_every=every,
            progress=progress,
        )
        if best:
            return best.variables or variables_of(state)
        assert checkpoints is not None
        saved = checkpoints.restore_best(state)
    return variables_of(state if saved is None else saved)


def make_validation(explainer: Explainer, images: HostImages, *, beta: float):
    """A function from a training state to its loss on held-out images, and more.

    The loss is that of training, but at the posterior mean, so that no draw decides.
    Beside it: the negative ELBO, whatever beta is, and how the latents are used.
    """

    @jax.jit
    def terms_of(variables: Variables, batch: Array):
        output = at_posterior_mean(explainer.model, variables, batch)
        terms = losses.negative_elbo(
            explainer.likelihood(batch, output.decoded),
            losses.gaussian_kl(output.mean, output.logvar),
            beta=beta,
        )
        return terms, output.mean, output.logvar

    def validate(state: train.TrainState) -> Figures:
        variables = variables_of(state)
        terms, mean, logvar = over_batches(
            functools.partial(terms_of, variables), images
        )
        figures: Figures = {
            name: float(term.mean()) for name, term in terms._asdict().items()
        }
        figures["negative_elbo"] = figures["distortion"] + figures["rate"]
        if len(mean) < 2:
            return figures
        use = latents.latent_use(jnp.asarray(mean), jnp.asarray(logvar))
        active = float(use.is_active.sum())
        return figures | {"active_units": active, "kl": np.asarray(use.kl)}

    return validate


class _Best:
    """The network with the lowest validation loss so far, where no file keeps it."""

    def __init__(self, validate: Callable[[train.TrainState], Figures]):
        self._validate = validate
        self._loss = math.inf
        self.variables: Variables | None = None

    def __call__(self, state: train.TrainState) -> Figures:
        figures = self._validate(state)
        if figures[SELECTED_BY] < self._loss:
            # Copied: the next step takes the state's memory.
            self.variables = jax.tree.map(jnp.copy, variables_of(state))
            self._loss = figures[SELECTED_BY]
        return figures


def _batches(
    normal: ImageSource,
    batch_size: int,
    seed: int,
    augmentation: Augmentation,
    start_step: int,
):
    return pipeline.train_batches(
        normal,
        batch_size=batch_size,
        seed=seed,
        augmentation=augmentation,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        start_step=start_step,
    )


def variables_of(state: train.TrainState) -> Variables:
    """For evaluation, which every process does by itself."""
    return train.local_copy({"params": state.eval_params, **state.model_state})
