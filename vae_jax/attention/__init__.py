"""Attention maps of variational autoencoders (Liu et al., CVPR 2020, section 3)."""

from vae_jax.attention.class_scores import class_evidence, class_log_odds
from vae_jax.attention.functions import from_functions
from vae_jax.attention.gradients import TapGradient, activations, tap_gradient, taps
from vae_jax.attention.maps import (
    AttentionSamples,
    attention_maps,
    sampled_attention,
)
from vae_jax.attention.pairs import (
    Explained,
    Resolution,
    empty_share,
    explained_forward,
    random_pairs,
    strongest_latents,
)
from vae_jax.attention.rules import (
    OFFICIAL,
    PAPER,
    POINTWISE,
    REPRO2021,
    SALIENCY,
    Rule,
)
from vae_jax.attention.sanity import (
    PixelCurves,
    deletion_insertion,
    layers,
    parameter_randomisation,
    randomised,
    rank_correlation,
)
from vae_jax.attention.scores import (
    Likelihood,
    NormalAggregate,
    Score,
    kl,
    latents,
    negative_elbo,
    normal_aggregate,
    normal_difference,
    reconstruction_error,
    squared_norm,
    sum_of_latents,
)

__all__ = [
    "OFFICIAL",
    "PAPER",
    "POINTWISE",
    "REPRO2021",
    "SALIENCY",
    "AttentionSamples",
    "Explained",
    "Likelihood",
    "NormalAggregate",
    "PixelCurves",
    "Resolution",
    "Rule",
    "Score",
    "TapGradient",
    "activations",
    "attention_maps",
    "class_evidence",
    "class_log_odds",
    "deletion_insertion",
    "empty_share",
    "explained_forward",
    "from_functions",
    "kl",
    "latents",
    "layers",
    "negative_elbo",
    "normal_aggregate",
    "normal_difference",
    "parameter_randomisation",
    "random_pairs",
    "randomised",
    "rank_correlation",
    "reconstruction_error",
    "sampled_attention",
    "squared_norm",
    "strongest_latents",
    "sum_of_latents",
    "tap_gradient",
    "taps",
]
