"""Arrays in, numbers out. Modules that compute with jax are not loaded from here."""

from vae_jax.metrics.intervals import confidence_half_width
from vae_jax.metrics.localisation import (
    PRO_LIMIT,
    Localisation,
    aupro,
    average_precision,
    best_iou,
    estimated_threshold,
    image_auroc,
    localisation_figures,
    pixel_auroc,
    pro_curve,
    region_overlap,
    roc_curve,
)
from vae_jax.metrics.thresholds import BestIou, Curve, Ties

__all__ = [
    "PRO_LIMIT",
    "BestIou",
    "Curve",
    "Localisation",
    "Ties",
    "aupro",
    "average_precision",
    "best_iou",
    "confidence_half_width",
    "estimated_threshold",
    "image_auroc",
    "localisation_figures",
    "pixel_auroc",
    "pro_curve",
    "region_overlap",
    "roc_curve",
]
