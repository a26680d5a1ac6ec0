"""Detectors: normal images in, out comes what marks and explains what is not normal.

`fit` is the whole way in one call. Its steps, for those who go it themselves: a network
with its likelihood (`build_explainer`), trained (`train_vae`), knows what is normal
(`gather_evidence`), makes maps by name (`make_maps`, of `METHODS` and `ABLATION`), is
explained by the map that finds artificial defects best (`artificial_defects`,
`choose`), and becomes a detector with thresholds (`make_detector`).
"""

from vae_jax.detection.batches import HostImages, mean_over_batches, over_batches
from vae_jax.detection.choice import (
    Pasted,
    artificial_defects,
    choose,
    score_choice,
)
from vae_jax.detection.detector import FittedDetector, make_detector
from vae_jax.detection.evidence import Evidence, gather_evidence
from vae_jax.detection.explainer import (
    Explainer,
    Images,
    Variables,
    at_posterior_mean,
    encode,
    reconstruct,
    require_taps,
)
from vae_jax.detection.fitting import fit
from vae_jax.detection.methods import (
    ABLATION,
    CANDIDATES,
    DEFAULT_METHOD,
    METHODS,
    HostMaps,
    Kind,
    Method,
    latent_maps,
    lookup,
    make_maps,
)
from vae_jax.detection.networks import build_explainer
from vae_jax.detection.training import SELECTED_BY, initial_pixel_bias, train_vae

__all__ = [
    "ABLATION",
    "CANDIDATES",
    "DEFAULT_METHOD",
    "METHODS",
    "SELECTED_BY",
    "Evidence",
    "Explainer",
    "FittedDetector",
    "HostImages",
    "HostMaps",
    "Images",
    "Kind",
    "Method",
    "Pasted",
    "Variables",
    "artificial_defects",
    "at_posterior_mean",
    "build_explainer",
    "choose",
    "encode",
    "fit",
    "gather_evidence",
    "initial_pixel_bias",
    "latent_maps",
    "lookup",
    "make_detector",
    "make_maps",
    "mean_over_batches",
    "over_batches",
    "reconstruct",
    "require_taps",
    "score_choice",
    "train_vae",
]
