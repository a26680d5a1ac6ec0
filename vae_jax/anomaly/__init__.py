"""From an image and its explanation to an anomaly map, a score, a threshold, a mask.

Maps are raw: no function here rescales one image by its own extremes, so maps compare
across images, and a normal image stays dark. What is calibrated is calibrated on
normal images.
"""

from vae_jax.anomaly.complexity import Trend, compressed_nats, fit_trend, typicality
from vae_jax.anomaly.expectation import (
    Moments,
    appearance,
    divide_by_expected,
    expected_map,
    moments,
    nonnegative_weights,
)
from vae_jax.anomaly.features import (
    ChannelStatistics,
    channel_distance,
    channel_statistics,
)
from vae_jax.anomaly.maps import (
    AnyArray,
    ColourLimits,
    ImageBatch,
    Maps,
    absolute_residual,
    anomaly_masks,
    colour_limits,
    gaussian_blur,
    image_score,
    local_contrast,
    residual_times_gradient,
    squared_residual,
    threshold_from_normals,
)
from vae_jax.anomaly.restoration import restore
from vae_jax.anomaly.whitening import calibrate, normal_spectrum, whiten

__all__ = [
    "AnyArray",
    "ChannelStatistics",
    "ColourLimits",
    "ImageBatch",
    "Maps",
    "Moments",
    "Trend",
    "absolute_residual",
    "anomaly_masks",
    "appearance",
    "calibrate",
    "channel_distance",
    "channel_statistics",
    "colour_limits",
    "compressed_nats",
    "divide_by_expected",
    "expected_map",
    "fit_trend",
    "gaussian_blur",
    "image_score",
    "local_contrast",
    "moments",
    "nonnegative_weights",
    "normal_spectrum",
    "residual_times_gradient",
    "restore",
    "squared_residual",
    "threshold_from_normals",
    "typicality",
    "whiten",
]
