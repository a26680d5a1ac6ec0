"""From which score on an image is anomalous, and a pixel: rules as a user writes them.

A rule is NAME:NUMBER, or a raw number alone. Thresholds are set on held-out normal
images (see `vae_jax.calibration`), and can be set anew at any time.
"""

import math

from vae_jax.calibration import Calibration

LEVEL = 0.05
"""Of the image threshold `auto`, where there are enough held-out images for it."""


def image_threshold(rule: str, calibration: Calibration) -> float:
    """The raw score from which on an image is called anomalous.

    `conformal:L`: a new normal image is, with a probability of at most L. `auto`: the
    same at 5 %, or at the least that so many held-out images can promise. `rate:R`: at
    most that share of the held-out images is. `quantile:Q` of their scores. Or a raw
    score.

    Raises:
        ValueError: no such rule, a number out of its range, or too few held-out images.
    """
    if rule == "auto":
        # The next number up, since that promise may have been rounded down.
        least = math.nextafter(calibration.smallest_level, 1)
        return calibration.conformal_threshold(max(LEVEL, least))
    match _split("--image-threshold", rule, "conformal", "rate", "quantile"):
        case "conformal", level:
            return calibration.conformal_threshold(level)
        case "rate", rate:
            return calibration.images.threshold_at_rate(rate)
        case "quantile", share:
            return calibration.images.quantile(share)
        case _, score:
            return score


def pixel_threshold(rule: str, calibration: Calibration) -> float:
    """The raw map value from which on a pixel is marked.

    `rate:R`: at most that share of the pixels of held-out normal images is.
    `quantile:Q` of these pixels. `area:N`: none of these images has a region of N
    marked pixels, at the detector's size. Or a raw value.

    Raises:
        ValueError: no such rule, or a number out of its range.
    """
    match _split("--pixel-threshold", rule, "rate", "quantile", "area"):
        case "rate", rate:
            return calibration.pixels.threshold_at_rate(rate)
        case "quantile", share:
            return calibration.pixels.quantile(share)
        case "area", pixels:
            return calibration.area_threshold(int(pixels))
        case _, value:
            return value


def _split(flag: str, rule: str, *kinds: str) -> tuple[str, float]:
    """The name of a rule, empty for a raw number, and its number."""
    name, _, text = rule.rpartition(":")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or name not in ("", *kinds):
        raise ValueError(
            f"{flag}: a rule is {':N, '.join(kinds)}:N, or a raw number N alone, got "
            f"{rule!r}; --help says what they mean."
        )
    return name, number
