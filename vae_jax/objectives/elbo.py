"""The negative ELBO of a plain VAE, and what changes by schedules, floors and masks."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from vae_jax import losses, models, train
from vae_jax.attention import Likelihood

Schedule = Callable[[Int[Array, ""], Any], Float[Array, ""]]
"""`schedule(step, hyper)`: a weight in [0, 1], as those of `losses`."""

_NAMES = ("beta", "capacity", "free_bits", "masked", "noise")


def make_elbo_loss_fn(
    model: models.VAE,
    likelihood: Likelihood,
    *,
    beta: float = 1.0,
    schedule: Schedule | None = None,
    constraint_on: losses.ConstraintOn = "example",
) -> Callable[..., tuple[Float[Array, ""], train.Aux]]:
    """`loss_fn(params, model_state, batch, *, key, step, hyper={})` -> (scalar, Aux).

    `params` are the model's own, `model_state` its other collections (batch
    statistics), `batch` holds "image" [batch height width channel] in [0, 1]. The loss
    is distortion + beta rate in nats, averaged over the batch, at one posterior sample.

    What runs differ in are numbers in `hyper`, none of which must be there:
        beta: the weight of the rate, in the place of the argument.
        free_bits: nats that each latent has for nothing, see `losses.negative_elbo`.
        capacity: nats that the rate is pulled to, in the place of free bits.
        noise: what the posterior's deviation is multiplied by, usually 1. With 0 and a
            beta of 0 it is the autoencoder of the same networks.
        masked: share of pixels that the encoder is shown as 0, while all are to be
            drawn: the denoising autoencoder (Vincent et al. 2008), and with noise the
            denoising VAE (Im et al. 2017). Not for a `models.PixelVAE`, whose decoder
            sees what its encoder sees.

    Args:
        model: `models.VAE` of any encoder and decoder, or a `models.PixelVAE`.
        likelihood: log p(image | decoded) of each image in nats.
        beta: Where `hyper` has none.
        schedule: Multiplies beta, or the capacity if there is one. It may read numbers
            of its own in `hyper`.
        constraint_on: Of free bits and capacity, see `losses.negative_elbo`.

    The metrics are distortion, rate and their sum "negative_elbo" whatever weight the
    rate has, so that they can be compared over a schedule, and what `hyper` and the
    schedule made of "beta", "capacity" and "free_bits".

    Source: Kingma and Welling 2014, Eq. 10; of beta, Higgins et al. 2017.
    """

    def loss_fn(params, model_state, batch, *, key, step, hyper=None):
        require_images("make_elbo_loss_fn", batch)
        hyper = {"beta": beta, **(hyper or {})}
        if schedule is None:
            _require_names(hyper)
        images = seen = batch["image"]
        if "masked" in hyper:
            key, mask_key = jax.random.split(key)
            seen = mask_pixels(images, key=mask_key, share=hyper["masked"])
        noise = jax.random.normal(key, (len(images), model.latents))
        output, model_state = model.apply(
            {"params": params, **model_state},
            seen,
            noise=hyper.get("noise", 1.0) * noise,
            train=True,
            mutable=list(model_state),
        )
        weight = 1.0 if schedule is None else schedule(step, hyper)
        rule = _rule(hyper, weight)
        terms = losses.negative_elbo(
            likelihood(images, output.decoded),
            losses.gaussian_kl(output.mean, output.logvar),
            constraint_on=constraint_on,
            **rule,
        )
        return terms.loss.mean(), train.Aux(_figures(terms, rule), model_state)

    return loss_fn


def mask_pixels(
    images: Float[Array, "batch height width channel"],
    *,
    key: PRNGKeyArray,
    share: Float[Array, ""] | float,
) -> Float[Array, "batch height width channel"]:
    """Sets about that share of the pixels to 0, all channels of a pixel alike.

    Source: Vincent et al. 2008, section 2.3: masking noise.
    """
    is_kept = jax.random.uniform(key, (*images.shape[:-1], 1)) >= share
    return images * is_kept


def require_images(function: str, batch: Any) -> None:
    """Raises ValueError from `function` unless these are floating-point images."""
    images = batch.get("image") if isinstance(batch, Mapping) else None
    if images is None or not jnp.issubdtype(images.dtype, jnp.floating):
        what = type(batch).__name__ if images is None else f"them as {images.dtype}"
        raise ValueError(
            f"{function}: batch must be a mapping that holds floating-point images in "
            f'[0, 1] as "image", got {what}; divide 8-bit images by 255.'
        )


def _require_names(hyper: Mapping[str, Array | float]) -> None:
    """Raises ValueError for a name without meaning: a setting without effect."""
    if unknown := hyper.keys() - set(_NAMES):
        raise ValueError(
            f"make_elbo_loss_fn: hyper may hold {', '.join(_NAMES)}, and more only for "
            f"a schedule, got {', '.join(sorted(unknown))}."
        )


def _rule(
    hyper: Mapping[str, Array | float], weight: Array | float
) -> dict[str, Array | float]:
    """What `losses.negative_elbo` is told of the rate."""
    if "capacity" in hyper:
        rule = {"beta": hyper["beta"], "capacity": weight * hyper["capacity"]}
    else:
        rule = {"beta": weight * hyper["beta"]}
    return rule | {name: hyper[name] for name in hyper if name == "free_bits"}


def _figures(
    terms: losses.NegativeElbo, rule: Mapping[str, Array | float]
) -> dict[str, Array]:
    distortion, rate = terms.distortion.mean(), terms.rate.mean()
    parts = {"distortion": distortion, "rate": rate, "negative_elbo": distortion + rate}
    return parts | {name: jnp.asarray(x, rate.dtype) for name, x in rule.items()}
