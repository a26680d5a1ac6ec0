"""The losses of VAEs with classes: all known, or few."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax import distributions, losses, models, train
from vae_jax.objectives.elbo import require_images

Likelihood = Callable[[Array, Array], Float[Array, " batch"]]
"""log p(images | decoded) of each example, in nats."""


def make_conditional_loss_fn(
    model: models.ConditionalVAE, likelihood: Likelihood, *, beta: float = 1.0
) -> train.LossFn:
    """`loss_fn(params, model_state, batch, *, key, step) -> (scalar, Aux)`, in nats.

    `batch` holds "image" [batch height width channel] and "label" [batch], whole
    numbers. The loss is the bound on -log p(image | label), distortion + beta rate,
    averaged over the batch, the rate with respect to the prior of the class.

    Source: Sohn et al. 2015, Eq. 4.
    """

    def loss_fn(params, model_state, batch, *, key, step):
        del step
        _require_labels("make_conditional_loss_fn", batch)
        terms = conditional_terms(
            model, likelihood, params, batch["image"], batch["label"], key=key
        )
        parts = {"distortion": terms.distortion.mean(), "rate": terms.rate.mean()}
        loss = (terms.distortion + beta * terms.rate).mean()
        return loss, train.Aux(parts, model_state)

    return loss_fn


def conditional_terms(
    model: models.ConditionalVAE,
    likelihood: Likelihood,
    params: Any,
    images: Float[Array, "batch height width channel"],
    labels: Array,
    *,
    key: Array,
) -> losses.NegativeElbo:
    """The bound on -log p(image | label) of each example, at one posterior sample."""
    noise = jax.random.normal(key, (len(images), model.latents))
    variables = {"params": params}
    output = cast(models.VAEOutput, model.apply(variables, images, labels, noise=noise))
    prior = cast(models.Posterior, model.apply(variables, labels, method="prior"))
    rate = distributions.normal_kl(output.mean, output.logvar, prior.mean, prior.logvar)
    return losses.negative_elbo(likelihood(images, output.decoded), rate)


def make_m2_loss_fn(model: models.M2, likelihood: Likelihood) -> train.TunedLossFn:
    """`loss_fn(params, model_state, batch, *, key, step, hyper) -> (scalar, Aux)`.

    `batch` holds "image" without labels, and "labelled_image" with "label". The loss is
    the mean over all examples of the set of the bound on -log p(x, y) for the labelled,
    of which there are the share hyper["labelled_share"], and on -log p(x) for the
    others, plus hyper["alpha"] times the mean cross-entropy of the classifier over the
    labelled. Classes are equally likely. Each class of an unlabelled image has a
    posterior sample of its own.

    Source: Kingma et al. 2014, Eq. 8 and 9, divided by the number of examples: their
    alpha is 0.1 times that number, and so 0.1 here.
    """

    def loss_fn(params, model_state, batch, *, key, step, hyper):
        del step
        labelled_key, unlabelled_key = jax.random.split(key)
        known = {"image": batch.get("labelled_image"), "label": batch.get("label")}
        _require_labels("make_m2_loss_fn", known)
        require_images("make_m2_loss_fn", batch)
        labelled = _joint_loss(
            model, likelihood, params, known["image"], known["label"], key=labelled_key
        ).mean()
        unlabelled = _unlabelled_loss(
            model, likelihood, params, batch["image"], key=unlabelled_key
        ).mean()
        logits = _classify(model, params, known["image"])
        entropy = losses.cross_entropy(logits, known["label"]).mean()
        share = hyper["labelled_share"]
        bound = share * labelled + (1 - share) * unlabelled
        parts = {
            "labelled": labelled,
            "unlabelled": unlabelled,
            "cross_entropy": entropy,
        }
        return bound + hyper["alpha"] * entropy, train.Aux(parts, model_state)

    return loss_fn


def _joint_loss(model, likelihood, params, images, labels, *, key):
    """The bound on -log p(x, y) of each example."""
    terms = conditional_terms(
        model.vae, likelihood, params["vae"], images, labels, key=key
    )
    return terms.loss + jnp.log(model.vae.classes)


def _unlabelled_loss(model, likelihood, params, images, *, key):
    """The bound on -log p(x) of each example: every class is tried."""

    def of_class(label, key):
        labels = jnp.full(len(images), label)
        return _joint_loss(model, likelihood, params, images, labels, key=key)

    classes = model.vae.classes
    each = jax.vmap(of_class, out_axes=1)(
        jnp.arange(classes), jax.random.split(key, classes)
    )
    return losses.unlabelled_bound(each, _classify(model, params, images))


def _classify(model, params, images) -> Float[Array, "batch class"]:
    return cast(Array, model.apply({"params": params}, images, method="classify"))


def _require_labels(function: str, batch: Mapping[str, Array]) -> None:
    require_images(function, batch)
    labels = batch.get("label")
    if labels is None or not jnp.issubdtype(labels.dtype, jnp.integer):
        got = "none" if labels is None else f"them as {labels.dtype}"
        raise ValueError(
            f'{function}: batch must hold whole numbers as "label", got {got}.'
        )
