"""Losses: arrays in, per-example arrays out, in nats if not said otherwise."""

from vae_jax.losses.elbo import (
    NegativeElbo,
    gaussian_kl,
    importance_weighted_bound,
    negative_elbo,
)
from vae_jax.losses.likelihoods import (
    bernoulli_log_likelihood,
    discretised_logistic_mixture_log_likelihood,
    gaussian_log_likelihood,
)
from vae_jax.losses.schedules import cosine_beta, cyclical_beta, linear_beta
from vae_jax.losses.ssim import ssim_loss, ssim_map

__all__ = [
    "NegativeElbo",
    "bernoulli_log_likelihood",
    "cosine_beta",
    "cyclical_beta",
    "discretised_logistic_mixture_log_likelihood",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "importance_weighted_bound",
    "linear_beta",
    "negative_elbo",
    "ssim_loss",
    "ssim_map",
]
