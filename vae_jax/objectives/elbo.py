"""The negative ELBO of a plain VAE, for images of any likelihood."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from vae_jax import losses, models, train
from vae_jax.attention import Likelihood


def make_elbo_loss_fn(
    model: models.VAE, likelihood: Likelihood, *, beta: float = 1.0
) -> train.LossFn:
    """`loss_fn(params, model_state, batch, *, key, step) -> (scalar, Aux)`, in nats.

    `params` are the model's own, `model_state` its other collections (batch
    statistics), `batch` holds "image" [batch height width channel] in [0, 1]. The loss
    is distortion + beta rate, averaged over the batch, at one posterior sample; `Aux`
    has both parts and the new model state.

    Source: Kingma and Welling 2014, Eq. 10; of beta, Higgins et al. 2017.
    """

    def loss_fn(params, model_state, batch, *, key, step):
        del step
        require_images("make_elbo_loss_fn", batch)
        images = batch["image"]
        noise = jax.random.normal(key, (len(images), model.latents))
        output, model_state = model.apply(
            {"params": params, **model_state},
            images,
            noise=noise,
            train=True,
            mutable=list(model_state),
        )
        terms = losses.negative_elbo(
            likelihood(images, output.decoded),
            losses.gaussian_kl(output.mean, output.logvar),
            beta=beta,
        )
        parts = {"distortion": terms.distortion.mean(), "rate": terms.rate.mean()}
        return terms.loss.mean(), train.Aux(parts, model_state)

    return loss_fn


def require_images(function: str, batch: Any) -> None:
    """Raises ValueError from `function` unless these are floating-point images."""
    images = batch.get("image") if isinstance(batch, Mapping) else None
    if images is None or not jnp.issubdtype(images.dtype, jnp.floating):
        what = type(batch).__name__ if images is None else f"them as {images.dtype}"
        raise ValueError(
            f"{function}: batch must be a mapping that holds floating-point images in "
            f'[0, 1] as "image", got {what}; divide 8-bit images by 255.'
        )
