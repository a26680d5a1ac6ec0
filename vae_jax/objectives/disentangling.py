"""The loss functions of disentangling VAEs: distortion, a regulariser, attention."""

from collections.abc import Callable, Mapping
from typing import cast

import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from vae_jax import attention, losses, models, train
from vae_jax.objectives.attention import AttentionTerm, explained_output
from vae_jax.objectives.elbo import require_images
from vae_jax.objectives.regularisers import FactorVAE, Hyper, Inputs, Objective


def default_hyper(
    objective: Objective, attention_term: AttentionTerm | None = None
) -> dict[str, float]:
    """The numbers that the loss function reads, at published values.

    But for "attention", for which Liu et al. 2020 state none.
    """
    return {**objective.defaults, **(attention_term.defaults if attention_term else {})}


def init_params(
    model: models.VAE, objective: Objective, *, key: PRNGKeyArray
) -> dict[str, PyTree]:
    """Initial parameters of the VAE and, for `FactorVAE`, of its discriminator.

    {"vae": ...} or {"vae": ..., "discriminator": ...}. Of a network with batch norm the
    batch statistics are in `models.init` alone.
    """
    vae_key, discriminator_key = jax.random.split(key)
    params = {"vae": models.init(model, key=vae_key)["params"]}
    if isinstance(objective, FactorVAE):
        variables = models.init_discriminator(
            objective.discriminator,
            latents=model.latents,
            key=discriminator_key,
        )
        params["discriminator"] = variables["params"]
    return params


def make_loss_fn(
    model: models.VAE,
    objective: Objective,
    *,
    attention_term: AttentionTerm | None = None,
    likelihood: attention.Likelihood = losses.bernoulli_log_likelihood,
) -> Callable[..., tuple[Float[Array, ""], train.Aux]]:
    """`loss_fn(params, model_state, batch, *, key, step, hyper=None)` -> (scalar, Aux).

    Args:
        model: `models.VAE` of any encoder and decoder.
        objective: What is added to the distortion: a rule of `vae_jax.objectives`, or
            any other object with `defaults` and `regularise`.
        attention_term: The attention disentanglement loss, beside any objective.
        likelihood: log p(image | decoded) of each image in nats.

    Of the loss function `params` are those of `init_params`: {"vae": ...}, with
    "discriminator" beside it for `FactorVAE`, whose two losses come as one scalar that
    gives each part its own gradient: an optimiser for each is `train.by_part` on these
    names. `model_state` has the model's other collections, {} where there are none.
    `batch` holds "image", and "second_image" where the objective wants one. `step`,
    from 0, is what `AnnealedVAE` is annealed by. `hyper` holds at least the names of
    `default_hyper`, which it is by default.

    The metrics are the objective without the discriminator's loss, its parts, and the
    plain negative ELBO (beta 1), in nats; with the attention loss the mean overlap and
    the share of empty maps, see `attention.empty_share`.
    """
    usual = default_hyper(objective, attention_term)

    def loss_fn(params, model_state, batch, *, key, step, hyper: Hyper | None = None):
        hyper = usual if hyper is None else hyper
        _require_parts(objective, params)
        require_images("make_loss_fn", batch)
        _require_names(usual, hyper)
        noise_key, pair_key, second_key, own_key = jax.random.split(key, 4)
        images, others = _batches(objective, batch)
        variables = {"params": params["vae"], **model_state}
        noise = _noise(model, images, noise_key)
        output, model_state, overlap = explained_output(
            model, variables, images, noise, attention_term, key=pair_key
        )
        second = output.latents
        if others is not None:
            second = _sample(model, variables, others, key=second_key)
        kl = losses.gaussian_kl(output.mean, output.logvar)
        discriminator = params.get("discriminator")
        inputs = Inputs(output, kl, second, discriminator, step, own_key)
        penalty = objective.regularise(inputs, hyper)
        terms = losses.negative_elbo(likelihood(images, output.decoded), kl)
        value = terms.distortion.mean() + penalty.value
        metrics = penalty.metrics | _plain_metrics(terms)
        if overlap is not None:
            value += hyper["attention"] * overlap.mean
            metrics["attention_overlap"] = overlap.mean
            metrics["empty_maps"] = overlap.empty
        metrics["objective"] = value
        return value + penalty.adversary, train.Aux(metrics, model_state)

    return loss_fn


def _batches(
    objective: Objective, batch: Mapping[str, Array]
) -> tuple[Array, Array | None]:
    if isinstance(objective, FactorVAE):
        return objective.batches(batch)
    return batch["image"], None


def _noise(model: models.VAE, images: Array, key: PRNGKeyArray) -> Array:
    return jax.random.normal(key, (len(images), model.latents))


def _sample(
    model: models.VAE, variables: PyTree, images: Array, *, key: PRNGKeyArray
) -> Float[Array, "batch latent"]:
    """Posterior samples that give the encoder no gradient."""
    noise = _noise(model, images, key)
    fixed = jax.lax.stop_gradient(variables)
    return cast(Array, model.apply(fixed, images, noise, method=attention.latents))


def _plain_metrics(terms: losses.NegativeElbo) -> dict[str, Array]:
    return {
        "distortion": terms.distortion.mean(),
        "rate": terms.rate.mean(),
        "negative_elbo": terms.loss.mean(),
    }


def _require_parts(objective: Objective, params: PyTree) -> None:
    """Raises ValueError unless they are those of `init_params`."""
    parts = ["vae", *(["discriminator"] if isinstance(objective, FactorVAE) else [])]
    found = sorted(params) if isinstance(params, Mapping) else type(params).__name__
    if not set(parts) <= set(found) or "params" in params["vae"]:
        raise ValueError(
            "make_loss_fn: params must hold the parameters of "
            f"{' and '.join(parts)} by name, without a level 'params', got {found}; "
            "begin with init_params()."
        )


def _require_names(names: Mapping[str, float], hyper: Hyper) -> None:
    if missing := names.keys() - hyper.keys():
        raise ValueError(
            f"make_loss_fn: hyper must hold {', '.join(names)}, but "
            f"{', '.join(sorted(missing))} is missing; begin with default_hyper()."
        )
