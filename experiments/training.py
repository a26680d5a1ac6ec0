"""Trains the VAE of a localisation experiment: here model and loss meet."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float

from experiments.explainer import (
    Explainer,
    HostImages,
    Variables,
    at_posterior_mean,
    over_batches,
)
from experiments.settings import Settings
from vae_jax import losses, models, train
from vae_jax.data import pipeline
from vae_jax.data.augment import Augmentation
from vae_jax.data.category import CategoryData, ImageSource
from vae_jax.metrics import latents

_MAY_CHANGE = tuple(
    f"settings.{name}"
    for name in (
        "workdir",
        "seeds",
        "resolution",
        "blur",
        "tap",
        "methods",
        "baseline_steps",
        "baseline_size",
        "baseline_batch_size",
        "anogan_width",
        "feature_weights",
    )
)
"""What a finished or broken-off run may be started again with."""


@functools.cache
def build_explainer(settings: Settings, *, channels: int) -> Explainer:
    """The network of the settings, with its likelihood and its tap.

    The same object for the same arguments, so that what was compiled for it serves
    every category.
    """
    model = _build_model(settings, channels=channels)
    match settings.likelihood:
        case "gaussian":
            logvar = 2 * math.log(settings.noise_scale)
            likelihood = functools.partial(
                losses.gaussian_log_likelihood, logvar=logvar
            )
            as_images = _identity
        case "bernoulli":
            likelihood, as_images = losses.bernoulli_log_likelihood, jax.nn.sigmoid
    return Explainer(model, likelihood, as_images, settings.tap, settings.blur)


def _build_model(settings: Settings, *, channels: int) -> models.VAE:
    shape = (settings.image_size, settings.image_size, channels)
    options = {"latents": settings.latents, "dtype": jnp.dtype(settings.dtype)}
    sizes = {"image_size": settings.image_size, "image_channels": channels}
    match settings.network:
        case "small":
            return models.small_vae(width=settings.width, **sizes, **options)
        case "resnet18":
            return models.resnet18_vae(**sizes, **options)
        case "mnist":
            model = models.mnist_vae(width=settings.width, **options)
        case "ped1":
            model = models.ped1_vae(**options)
    if model.image_shape != shape:
        raise ValueError(
            f"--network {settings.network} wants images of shape {model.image_shape}, "
            f"got {shape}; set --image-size and --channels to these."
        )
    return model


def initial_pixel_bias(
    settings: Settings, source: ImageSource
) -> Float[np.ndarray, "height width channel"]:
    """The mean training image, as the decoder would put it out."""
    total = np.zeros(source[0].shape)
    for i in range(len(source)):
        total += source[i]
    mean = (total / len(source) / 255).astype(np.float32)
    match settings.likelihood:
        case "gaussian":
            return mean
        case "bernoulli":
            return scipy.special.logit(np.clip(mean, 0.01, 0.99))


def _identity(decoded: Array) -> Array:
    return decoded


def make_loss_fn(explainer: Explainer, *, beta: float) -> train.LossFn:
    """The negative ELBO in nats, averaged over the batch."""

    def loss_fn(params, model_state, batch, *, key, step):
        del step
        images = batch["image"]
        noise = jax.random.normal(key, (len(images), explainer.model.encoder.latents))
        output, model_state = explainer.model.apply(
            {"params": params, **model_state},
            images,
            noise=noise,
            train=True,
            mutable=list(model_state),
        )
        terms = losses.negative_elbo(
            explainer.likelihood(images, output.decoded),
            losses.gaussian_kl(output.mean, output.logvar),
            beta=beta,
        )
        parts = {"distortion": terms.distortion.mean(), "rate": terms.rate.mean()}
        return terms.loss.mean(), train.Aux(parts, model_state)

    return loss_fn


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

    def validate(state: train.TrainState) -> dict[str, float | np.ndarray]:
        variables = _variables(state)
        terms, mean, logvar = over_batches(
            functools.partial(terms_of, variables), images
        )
        figures: dict[str, float | np.ndarray] = {
            name: float(term.mean()) for name, term in terms._asdict().items()
        }
        figures["negative_elbo"] = figures["distortion"] + figures["rate"]
        if len(mean) < 2:
            return figures
        use = latents.latent_use(jnp.asarray(mean), jnp.asarray(logvar))
        active = float(use.is_active.sum())
        return figures | {"active_units": active, "kl": np.asarray(use.kl)}

    return validate


def train_vae(
    settings: Settings,
    explainer: Explainer,
    data: CategoryData,
    augmentation: Augmentation,
) -> Variables:
    """Trains, or goes on training, and returns the best variables by validation."""
    steps = max(1, settings.epochs * len(data.train) // settings.batch_size)
    optimizer = train.adam(
        train.learning_rate(
            settings.learning_rate,
            steps=steps,
            warmup_steps=min(settings.warmup_steps, steps - 1),
            schedule="cosine",
        ),
        clip_norm=settings.clip_norm,
    )
    mesh = train.data_mesh()

    pixel_bias = jnp.asarray(initial_pixel_bias(settings, data.train))

    def init(key: Array):
        variables = models.init(explainer.model, key=key, pixel_bias=pixel_bias)
        return variables.pop("params"), variables

    state = train.create_state(
        init, optimizer, key=jax.random.key(settings.seed), mesh=mesh
    )
    step = train.make_train_step(
        make_loss_fn(explainer, beta=settings.beta),
        optimizer,
        ema_decay=settings.ema_decay,
    )
    checkpoints = train.Checkpoints(
        settings.folder / data.category,
        config={"settings": dataclasses.asdict(settings), "data": data.sha256},
        may_change=_MAY_CHANGE,
        best_by="loss",
    )
    with checkpoints:
        every = math.ceil(steps / settings.evaluations)
        state = train.fit(
            state,
            step,
            functools.partial(_batches, settings, data, augmentation),
            steps=steps,
            mesh=mesh,
            checkpoints=checkpoints,
            evaluate=make_validation(explainer, data.validation, beta=settings.beta),
            evaluate_every=every,
            checkpoint_every=every,
        )
        best = checkpoints.restore_best(state)
    return _variables(state if best is None else best)


def _batches(
    settings: Settings, data: CategoryData, augmentation: Augmentation, start_step: int
):
    return pipeline.train_batches(
        data.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        augmentation=augmentation,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        start_step=start_step,
    )


def _variables(state: train.TrainState) -> Variables:
    """For evaluation, which every process does by itself."""
    return train.local_copy({"params": state.eval_params, **state.model_state})
