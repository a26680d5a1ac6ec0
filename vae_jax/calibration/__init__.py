"""Thresholds and probabilities from normal images alone, to be chosen at any time.

What is kept of the scores of held-out normal images is enough to set every threshold
anew after training. No image with a defect is looked at. An image, or a pixel, is
marked where its raw score reaches the threshold, the threshold itself included.
"""

from vae_jax.calibration.known import (
    Calibration,
    NormalScores,
    from_normal_maps,
    held_out_rate,
)
from vae_jax.calibration.rules import (
    LEVEL,
    MINIMUM_DEFECT_SHARE,
    image_threshold,
    pixel_threshold,
    promised_rate,
    usual_area,
    usual_level,
)

__all__ = [
    "LEVEL",
    "MINIMUM_DEFECT_SHARE",
    "Calibration",
    "NormalScores",
    "from_normal_maps",
    "held_out_rate",
    "image_threshold",
    "pixel_threshold",
    "promised_rate",
    "usual_area",
    "usual_level",
]
