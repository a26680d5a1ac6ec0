"""From which score on an image is anomalous, and a pixel: rules as a user writes them.

A rule is NAME:NUMBER, or a raw number alone.
"""

import math

from vae_jax.calibration.known import Calibration

_IMAGE = "image_threshold (--image-threshold)"
_PIXEL = "pixel_threshold (--pixel-threshold)"
_IMAGE_RULES = "conformal", "rate", "quantile"

LEVEL = 0.05
"""Of the usual image threshold, where there are enough held-out images for it."""
MINIMUM_DEFECT_SHARE = 0.001
"""Of an image's pixels: the smallest defect that pixel thresholds are made for.
Bergmann et al. 2019 do not state their areas."""


def usual_level(known: Calibration) -> float:
    """5 %, or the least that so many normal images can promise."""
    return max(LEVEL, known.smallest_level)


def promised_rate(rule: str | float, known: Calibration) -> float | None:
    """The most of new normal images that `image_threshold` of the rule calls anomalous.

    Conformal rules and auto promise it; others, set by the held-out images or by hand,
    promise nothing of new ones: None.
    """
    if rule == "auto":
        return usual_level(known)
    match _split(_IMAGE, rule, *_IMAGE_RULES):
        case "conformal", level:
            return level
        case _:
            return None


def usual_area(image_size: int) -> int:
    """Pixels of the smallest defect, at a detector's size."""
    return max(1, round(MINIMUM_DEFECT_SHARE * image_size**2))


def image_threshold(rule: str | float, known: Calibration) -> float:
    """The raw score from which on an image is called anomalous.

    `conformal:L`: a new normal image is, with a probability of at most L. `auto`: the
    same at the usual level. `rate:R`: at most that share of the held-out images is.
    `quantile:Q` of their scores. Or a raw score.

    Raises:
        ValueError: no such rule, a number out of its range, or too few held-out images.
    """
    if rule == "auto":
        return known.conformal_threshold(usual_level(known))
    match _split(_IMAGE, rule, *_IMAGE_RULES):
        case "conformal", level:
            return known.conformal_threshold(level)
        case "rate", rate:
            return known.images.threshold_at_rate(rate)
        case "quantile", share:
            return known.images.quantile(share)
        case _, score:
            return score


def pixel_threshold(rule: str | float, known: Calibration, *, image_size: int) -> float:
    """The raw map value from which on a pixel is marked.

    `area:N`: no held-out normal image has a region of N marked pixels, of a detector
    for images of `image_size`. `auto`: the same for 0.1 % of its pixels. `rate:R`: at
    most that share of the pixels of held-out images is. `quantile:Q` of these pixels.
    Or a raw value.

    Raises:
        ValueError: no such rule, or a number out of its range.
    """
    if rule == "auto":
        return known.area_threshold(usual_area(image_size))
    match _split(_PIXEL, rule, "rate", "quantile", "area"):
        case "rate", rate:
            return known.pixels.threshold_at_rate(rate)
        case "quantile", share:
            return known.pixels.quantile(share)
        case "area", pixels:
            if not (pixels.is_integer() and 1 <= pixels <= image_size**2):
                raise ValueError(
                    f"{_PIXEL}: area:N wants a whole number of pixels, from 1 "
                    f"to the {image_size**2} of the detector's images, got {rule!r}."
                )
            return known.area_threshold(int(pixels))
        case _, value:
            return value


def _split(function: str, rule: str | float, *kinds: str) -> tuple[str, float]:
    """The name of a rule, empty for a raw number, and its number."""
    name, _, text = str(rule).rpartition(":")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or name not in ("", *kinds):
        raise ValueError(
            f"{function}: a rule is auto, {':N, '.join(kinds)}:N, or a raw number N "
            f"alone, got {rule!r}; --help says what they mean."
        )
    return name, number
