"""What a disentangling VAE minimises: here model and loss meet."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from experiments.regularisers import (
    DIPVAE,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    Hyper,
    InfoVAE,
    Inputs,
)
from vae_jax import attention, losses, models, train

Objective = BetaVAE | AnnealedVAE | BetaTCVAE | FactorVAE | DIPVAE | InfoVAE


@dataclasses.dataclass(frozen=True)
class AttentionTerm:
    """The attention disentanglement loss, added to any objective with weight lambda.

    Liu et al. 2020, Eq. 5 and 6. They leave open the pair, the resolution and whether
    the weights of a map are differentiated.
    """

    defaults: ClassVar = {"attention": 1.0}
    tap: str = "relu4"
    """The last convolution of the networks for 64x64 pixels."""
    pairs: Literal["random", "strongest", "all"] = "random"
    """Two different latents drawn for each image, the two that respond most to it, or
    the mean over all pairs."""
    rule: attention.Rule = attention.PAPER
    resolution: attention.Resolution = "tap"
    second_order: bool = True

    def __post_init__(self) -> None:
        if self.rule.rectify == "none":
            raise ValueError(
                "AttentionTerm: the overlap is one of maps that are not negative, got "
                "a rule with rectify='none'; choose relu, neg_relu or abs."
            )

    def choose(
        self, mean: Float[Array, "batch latent"], *, key: PRNGKeyArray
    ) -> Int[Array, "batch chosen"]:
        """The latents whose maps are compared, for each image.

        Raises:
            ValueError: If there is only one latent.
        """
        batch, latents = mean.shape
        if latents < 2:
            raise ValueError(
                f"AttentionTerm: a pair needs two latents, got {latents}; give "
                "the model more, or leave the term out."
            )
        match self.pairs:
            case "random":
                return attention.random_pairs(batch=batch, latents=latents, key=key)
            case "strongest":
                return attention.strongest_latents(mean)
            case "all":
                return jnp.broadcast_to(jnp.arange(latents), mean.shape)


def default_hyper(
    objective: Objective, attention_term: AttentionTerm | None = None
) -> dict[str, float]:
    """The numbers that the loss function reads, at published values.

    But for "attention", for which Liu et al. 2020 state none.
    """
    return {**objective.defaults, **(attention_term.defaults if attention_term else {})}


def make_loss_fn(
    model: models.VAE,
    objective: Objective,
    *,
    attention_term: AttentionTerm | None = None,
) -> Callable[..., tuple[Float[Array, ""], train.Aux]]:
    """`loss_fn(params, model_state, batch, *, key, step, hyper) -> (scalar, Aux)`.

    `params` is {"vae": ...}, with "discriminator" beside it for `FactorVAE`, whose two
    losses come as one scalar that gives each part its own gradient: an optimiser for
    each is `train.by_part` on these names. `batch` holds "image", and "second_image"
    where the objective wants one. `hyper` holds at least `default_hyper`'s names.

    The metrics are the objective without the discriminator's loss, its parts, and the
    plain negative ELBO (beta 1), in nats.
    """
    names = default_hyper(objective, attention_term)

    def loss_fn(params, model_state, batch, *, key, step, hyper):
        _require_names(names, hyper)
        noise_key, pair_key, second_key, own_key = jax.random.split(key, 4)
        images, others = _batches(objective, batch)
        variables = {"params": params["vae"], **model_state}
        noise = _noise(model, images, noise_key)
        output, model_state, overlap = _forward(
            model, variables, images, noise, attention_term, key=pair_key
        )
        second = output.latents
        if others is not None:
            second = _sample(model, variables, others, key=second_key)
        kl = losses.gaussian_kl(output.mean, output.logvar)
        discriminator = params.get("discriminator")
        inputs = Inputs(output, kl, second, discriminator, step, own_key)
        penalty = objective.regularise(inputs, hyper)
        log_likelihood = losses.bernoulli_log_likelihood(images, output.decoded)
        terms = losses.negative_elbo(log_likelihood, kl)
        value = terms.distortion.mean() + penalty.value
        metrics = penalty.metrics | _plain_metrics(terms)
        if overlap is not None:
            value += hyper["attention"] * overlap
            metrics["attention_overlap"] = overlap
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
    return jax.random.normal(key, (len(images), model.encoder.latents))


def _sample(
    model: models.VAE, variables: PyTree, images: Array, *, key: PRNGKeyArray
) -> Float[Array, "batch latent"]:
    """Posterior samples that give the encoder no gradient."""
    noise = _noise(model, images, key)
    fixed = jax.lax.stop_gradient(variables)
    return cast(Array, model.apply(fixed, images, noise, method=attention.latents))


def _forward(
    model: models.VAE,
    variables: PyTree,
    images: Array,
    noise: Array,
    term: AttentionTerm | None,
    *,
    key: PRNGKeyArray,
) -> tuple[models.VAEOutput, dict[str, Any], Float[Array, ""] | None]:
    """Output, new model state, and the mean overlap of the chosen maps, if any are."""
    mutable = [name for name in variables if name != "params"]
    if term is None:
        passed = model.apply(
            variables, images, noise=noise, train=True, mutable=mutable
        )
        return *cast(tuple[models.VAEOutput, dict[str, Any]], passed), None
    explained = attention.explained_forward(
        model,
        variables,
        images,
        noise,
        run=_latents_and_output,
        tap=term.tap,
        rule=term.rule,
        resolution=term.resolution,
        second_order=term.second_order,
        mutable=mutable,
    )
    maps = explained.maps(term.choose(explained.output.mean, key=key))
    first, second = np.triu_indices(maps.shape[1], 1)
    overlap = losses.attention_disentanglement(maps[:, first], maps[:, second])
    return explained.output, explained.state, overlap.mean()


def _latents_and_output(
    vae: models.VAE, images: Array, noise: Array
) -> tuple[Array, models.VAEOutput]:
    output = vae(images, noise=noise, train=True)
    return output.latents, output


def _plain_metrics(terms: losses.NegativeElbo) -> dict[str, Array]:
    return {
        "distortion": terms.distortion.mean(),
        "rate": terms.rate.mean(),
        "negative_elbo": terms.loss.mean(),
    }


def _require_names(names: Mapping[str, float], hyper: Hyper) -> None:
    if missing := names.keys() - hyper.keys():
        raise ValueError(
            f"make_loss_fn: hyper must hold {', '.join(names)}, but "
            f"{', '.join(sorted(missing))} is missing; begin with default_hyper()."
        )
