"""The negative ELBO of a plain VAE, for images of any likelihood."""

import jax

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
