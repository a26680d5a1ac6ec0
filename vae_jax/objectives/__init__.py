"""What a VAE minimises: a model, losses and, if asked, attention, as one loss function.

`loss_fn(params, model_state, batch, *, key, step) -> (scalar, Aux)` suits
`jax.value_and_grad(loss_fn, has_aux=True)` in any loop, and `train.make_train_step`.
"""

from vae_jax.objectives.attention import AttentionTerm
from vae_jax.objectives.conditional import (
    Likelihood,
    conditional_terms,
    make_conditional_loss_fn,
    make_m2_loss_fn,
)
from vae_jax.objectives.disentangling import (
    default_hyper,
    init_params,
    make_loss_fn,
)
from vae_jax.objectives.elbo import Schedule, make_elbo_loss_fn, mask_pixels
from vae_jax.objectives.reconstruction import Distance, with_distance
from vae_jax.objectives.regularisers import (
    DIPVAE,
    AnnealedVAE,
    BetaTCVAE,
    BetaVAE,
    FactorVAE,
    Hyper,
    InfoVAE,
    Inputs,
    Objective,
    Penalty,
)

__all__ = [
    "DIPVAE",
    "AnnealedVAE",
    "AttentionTerm",
    "BetaTCVAE",
    "BetaVAE",
    "Distance",
    "FactorVAE",
    "Hyper",
    "InfoVAE",
    "Inputs",
    "Likelihood",
    "Objective",
    "Penalty",
    "Schedule",
    "conditional_terms",
    "default_hyper",
    "init_params",
    "make_conditional_loss_fn",
    "make_elbo_loss_fn",
    "make_loss_fn",
    "make_m2_loss_fn",
    "mask_pixels",
    "with_distance",
]
