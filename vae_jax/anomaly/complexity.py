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
Complexity = Float[np.ndarray, "image measure"]


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

    slopes: Float[np.ndarray, " measure"]
    intercept: float
    deviation: float
    """Of the scores around it, with n - 1 less the measures in the divisor."""

    def standardise(self, complexity: Complexity, scores: Scores) -> Scores:
        """How many deviations each score lies above what its complexity predicts."""
        expected = self.intercept + complexity @ self.slopes
        return (scores - expected) / self.deviation


def fit_trend(complexity: Complexity, scores: Scores) -> Trend:
    """The plane of least squares through the scores of normal images.

    Args:
        complexity: Of each normal image, by one measure or more, in any units:
            `compressed_nats`, ink.
        scores: Of the same images; held-out ones, as training images score lower.

    Raises:
        ValueError: Not a score of each image, too few images, measures that do not
            vary each by itself, or scores that lie on the plane.
    """
    count, measures = complexity.shape
    if len(scores) != count or count < measures + 2:
        raise ValueError(
            f"fit_trend: wants the complexity and the score of each of at least "
            f"{measures + 2} images, got {count} and {len(scores)}."
        )
    centre, mean = complexity.mean(0), scores.mean()
    centred = complexity - centre
    slopes, _, rank, _ = np.linalg.lstsq(centred, scores - mean)
    if rank < measures:
        raise ValueError(
            f"fit_trend: {measures} measures of complexity must vary, each by itself, "
            f"got {rank} that do; leave out the others."
        )
    rest = scores - mean - centred @ slopes
    deviation = float(np.sqrt(rest @ rest / (count - 1 - measures)))
    if not deviation > 1e-12 * np.abs(scores).max():
        raise ValueError(
            "fit_trend: scores must vary around their trend, got none that does; they "
            "say nothing beyond the complexity."
        )
    return Trend(slopes, float(mean - centre @ slopes), deviation)


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
