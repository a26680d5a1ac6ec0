"""Scores of whole images, less what the image itself, and no anomaly, explains of them.

A likelihood tracks how much there is to draw: an image of little ink is likely under
any model of images (Serrà et al. 2020; Nalisnick et al. 2019). Scores are higher where
more anomalous.
"""

import math
import zlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

Scores = Float[np.ndarray, " image"]


def compressed_nats(
    images: UInt8[np.ndarray, "image height width channel"],
) -> Scores:
    """How long each image is when compressed as PNG compresses it, in nats.

    Deflate of the pixels less their left, upper or mean neighbour, or as they are,
    whichever is shortest; a PNG file takes some 70 bytes more.

    Source: Serrà et al. 2020, "Input complexity and out-of-distribution detection with
    likelihood-based generative models", section 3, with the PNG of its appendix.
    """
    return np.array([_deflated(image) for image in images]) * 8 * math.log(2)


def _deflated(image: UInt8[np.ndarray, "height width channel"]) -> int:
    """Bytes of the shortest of the filters, one for the whole image."""
    padded = np.pad(image, ((1, 0), (1, 0), (0, 0))).astype(np.int16)
    left, upper = padded[1:, :-1], padded[:-1, 1:]
    return min(
        len(zlib.compress((image - guess).astype(np.uint8).tobytes(), 9))
        for guess in (0, left, upper, (left + upper) // 2)
    )


class Trend(NamedTuple):
    """What a score of normal images is expected to be, by their complexity."""

    slope: float
    intercept: float
    deviation: float
    """Of the scores around it, with n - 2 in the divisor."""

    def standardise(self, complexity: Scores, scores: Scores) -> Scores:
        """How many deviations each score lies above what its complexity predicts."""
        expected = self.intercept + self.slope * complexity
        return (scores - expected) / self.deviation


def fit_trend(complexity: Scores, scores: Scores) -> Trend:
    """The line of least squares through the scores of normal images.

    Args:
        complexity: Of each normal image, in any unit: `compressed_nats`, ink.
        scores: Of the same images; held-out ones, as training images score lower.

    Raises:
        ValueError: Fewer than three images, not a score of each, images all of one
            complexity, or scores that lie on a line.
    """
    if len(complexity) != len(scores) or len(scores) < 3:
        raise ValueError(
            "fit_trend: wants a complexity and a score of each of at least 3 images, "
            f"got {len(complexity)} and {len(scores)}."
        )
    centred = complexity - complexity.mean()
    if not centred.any():
        raise ValueError(
            f"fit_trend: complexities must differ, got {complexity[0]:g} for all of "
            f"{len(complexity)} images; there is no trend to take off."
        )
    slope = float(centred @ scores / (centred @ centred))
    intercept = float(scores.mean() - slope * complexity.mean())
    rest = scores - intercept - slope * complexity
    deviation = float(np.sqrt(rest @ rest / (len(rest) - 2)))
    if not deviation > 1e-12 * np.abs(scores).max():
        raise ValueError(
            "fit_trend: scores must vary around their trend, got none that does; they "
            "say nothing beyond the complexity."
        )
    return Trend(slope, intercept, deviation)


def typicality(scores: Scores, normal: Float[np.ndarray, " normal"]) -> Scores:
    """How far each score is from the mean of normal ones, to either side.

    Of negative log-likelihoods: an image that is too likely is no typical one either.

    Raises:
        ValueError: No normal score.

    Source: Nalisnick et al. 2019, "Detecting out-of-distribution inputs to deep
    generative models using typicality", Eq. 4, for one image at a time.
    """
    if not len(normal):
        raise ValueError("typicality: wants scores of normal images, got none.")
    return np.abs(scores - normal.mean())
