"""Losses: arrays in, one value an example out, in nats.

`dip_i`, `dip_ii` and `mmd` are penalties of a batch and come as one number; they,
`attention_disentanglement`, the perceptual loss and the SSIM are not in nats.
"""

from vae_jax.losses.attention import attention_disentanglement
from vae_jax.losses.codes import (
    codebook_loss,
    commitment_loss,
    perplexity,
)
from vae_jax.losses.dip import dip_i, dip_ii
from vae_jax.losses.divergence import Kernel, mmd
from vae_jax.losses.elbo import (
    ConstraintOn,
    NegativeElbo,
    capacity_penalty,
    gaussian_kl,
    importance_weighted_bound,
    log_importance_weight,
    negative_elbo,
)
from vae_jax.losses.factor_vae import (
    density_ratio,
    discriminator_accuracy,
    discriminator_loss,
    permute_latents,
)
from vae_jax.losses.likelihoods import (
    bernoulli_log_likelihood,
    best_variance_log_likelihood,
    discretised_logistic_mixture_log_likelihood,
    gaussian_log_likelihood,
    learned_gaussian,
    learned_gaussian_log_likelihood,
)
from vae_jax.losses.multiscale import ms_ssim, ms_ssim_loss, scales_of
from vae_jax.losses.perceptual import perceptual_loss
from vae_jax.losses.schedules import cosine_beta, cyclical_beta, linear_beta
from vae_jax.losses.semi_supervised import cross_entropy, unlabelled_bound
from vae_jax.losses.ssim import Window, ssim_loss, ssim_map
from vae_jax.losses.total_correlation import (
    Estimator,
    RateParts,
    decompose_rate,
    stratified_weights,
)

__all__ = [
    "ConstraintOn",
    "Estimator",
    "Kernel",
    "NegativeElbo",
    "RateParts",
    "Window",
    "attention_disentanglement",
    "bernoulli_log_likelihood",
    "best_variance_log_likelihood",
    "capacity_penalty",
    "codebook_loss",
    "commitment_loss",
    "cosine_beta",
    "cross_entropy",
    "cyclical_beta",
    "decompose_rate",
    "density_ratio",
    "dip_i",
    "dip_ii",
    "discretised_logistic_mixture_log_likelihood",
    "discriminator_accuracy",
    "discriminator_loss",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "importance_weighted_bound",
    "learned_gaussian",
    "learned_gaussian_log_likelihood",
    "linear_beta",
    "log_importance_weight",
    "mmd",
    "ms_ssim",
    "ms_ssim_loss",
    "negative_elbo",
    "perceptual_loss",
    "permute_latents",
    "perplexity",
    "scales_of",
    "ssim_loss",
    "ssim_map",
    "stratified_weights",
    "unlabelled_bound",
]
