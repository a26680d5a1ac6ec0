"""Arrays in, numbers out."""

from vae_jax.metrics.localisation import (
    Localisation,
    aupro,
    average_precision,
    best_iou,
    estimated_threshold,
    image_auroc,
    localisation,
    pixel_auroc,
    pro_curve,
    region_overlap,
    roc_curve,
)

__all__ = [
    "Localisation",
    "aupro",
    "average_precision",
    "best_iou",
    "estimated_threshold",
    "image_auroc",
    "localisation",
    "pixel_auroc",
    "pro_curve",
    "region_overlap",
    "roc_curve",
]
