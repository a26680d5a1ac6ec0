"""What is known of normal images, and the thresholds that it gives."""

import bisect
import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from vae_jax import metrics
from vae_jax.calibration import plain

Scores = Float[np.ndarray, "*shape"]

_PER_DECADE = 50
"""Of the pixels that may reach a threshold, kept numbers for each factor of ten."""
_BODY = 100
"""Kept quantiles, evenly spaced, beside them."""
_PER_DOUBLING = 2
"""Areas for which the threshold of the largest region is kept."""


@dataclasses.dataclass(frozen=True)
class NormalScores:
    """Raw scores of normal images or of their pixels: all, or some that stand for all.

    Of `count` scores, `values[i]` is the one that `ranks[i]` others precede in
    ascending order. The first and the last are always kept.

    Raises:
        ValueError: they are not that, or not finite.
    """

    count: int
    ranks: tuple[int, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        plain.check_scores(self.count, self.ranks, self.values)

    def quantile(self, share: float) -> float:
        """As `numpy.quantile`: linear between the scores, here between those kept."""
        if not 0 <= share <= 1:
            raise ValueError(f"quantile: share must be in [0, 1], got {share}.")
        return float(np.interp(share * (self.count - 1), self.ranks, self.values))

    def threshold_at_rate(self, rate: float) -> float:
        """The lowest known threshold that at most this share of the scores reaches.

        Of these scores, that is: of new ones see `Calibration.conformal_threshold`.
        """
        if not 0 <= rate < 1:
            raise ValueError(f"threshold_at_rate: rate must be in [0, 1), got {rate}.")
        return self.threshold_reached_by(_floor(rate, self.count))

    def threshold_reached_by(self, most: int) -> float:
        """The lowest known threshold that at most this many of the scores reach."""
        value = self.values[bisect.bisect_left(self.ranks, self.count - 1 - most)]
        # Just above the score: those equal to it must not reach the threshold either.
        return float(np.nextafter(np.float32(value), np.float32(np.inf)))

    def rate_at(self, threshold: float) -> float:
        """The share of the scores that reaches `threshold`; if not known, the most."""
        return self.count_at(threshold) / self.count

    def count_at(self, threshold: float) -> int:
        """How many of the scores reach `threshold`; if not known, the most."""
        _as_numbers("count_at", np.array(threshold))
        first = bisect.bisect_left(self.values, threshold)
        return self.count - (self.ranks[first - 1] + 1 if first else 0)

    def calibrated(self, scores: Scores) -> Scores:
        """Raw scores on a scale from 0 to 1 that means the same for every detector.

        The r-th smallest of n normal scores goes to r / (n + 1), and what lies between
        goes between, linearly. Beyond the smallest and the largest, what is left to 0
        and to 1 is multiplied by w / (w + d) at the distance d, where w is the range of
        the normal scores. So it increases strictly, and ranks as the raw scores do,
        also what no normal image has reached.
        """
        scores = _as_numbers("calibrated", scores)
        values, last = np.unique(np.array(self.values)[::-1], return_index=True)
        levels = (np.array(self.ranks)[::-1][last] + 1) / (self.count + 1)
        low, high = values[0], values[-1]
        width = (high - low) or abs(high) or 1.0
        inside = np.interp(scores, values, levels)
        below = width / (width + np.maximum(low - scores, 0.0))
        above = width / (width + np.maximum(scores - high, 0.0))
        return 1 - (1 - inside * below) * above


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What the maps of held-out normal images tell of the normal.

    Raises:
        ValueError: areas or thresholds are not what they are said to be, or not finite.
    """

    images: NormalScores
    """All of them; the score of an image is the highest value of its map."""
    pixels: NormalScores
    """Some that stand for all, most of them among the highest."""
    areas: tuple[int, ...]
    """Pixels of a region, ascending from 1."""
    area_thresholds: tuple[float, ...]
    """At each, the largest region of all normal maps has fewer pixels than the area."""

    def __post_init__(self) -> None:
        plain.check_areas(self.areas, self.area_thresholds)
        kept, count = len(self.images.values), self.images.count
        if kept != count:
            raise ValueError(
                f"Calibration: all scores of images are needed, got {kept} of {count}."
            )

    @property
    def smallest_level(self) -> float:
        """The lowest rate of false alarms that so many normal images can promise."""
        return 1 / (self.images.count + 1)

    def conformal_threshold(self, level: float) -> float:
        """The image threshold that a new normal image reaches with P at most `level`.

        Just above the ceil((n + 1) (1 - level))-th smallest of the n normal scores
        (split or inductive conformal prediction: Vovk, Gammerman and Shafer 2005). The
        probability is over the calibration images too, and all must be exchangeable
        with the new one. It is floor((n + 1) level) / (n + 1) if no scores are equal.

        Raises:
            ValueError: n normal images are too few for so low a level.
        """
        if not 0 < level < 1:
            raise ValueError(
                f"conformal_threshold: level must be in (0, 1), got {level}."
            )
        count = self.images.count
        alarms = _floor(level, count + 1)
        if alarms == 0:
            needed = math.ceil(1 / _exact(level)) - 1
            raise ValueError(
                f"conformal_threshold: a level of {level:g} needs at least {needed} "
                f"held-out normal images, got {count}; hold out more, or ask for a "
                f"level of {self.smallest_level:.3g} or more."
            )
        return self.images.threshold_reached_by(alarms - 1)

    def p_values(
        self, scores: Float[np.ndarray, " image"]
    ) -> Float[np.ndarray, " image"]:
        """(1 + number of normal scores at least as high) / (n + 1), of raw scores.

        At most `level` exactly where the image reaches `conformal_threshold(level)`
        (Bates et al. 2023, "Testing for outliers with conformal p-values").
        """
        scores = _as_numbers("p_values", scores)
        count = self.images.count
        return (1 + count - np.searchsorted(self.images.values, scores)) / (count + 1)

    def area_threshold(self, minimum_area: int) -> float:
        """The pixel threshold at which no normal map shows so large a region.

        The protocol of MVTec AD (see `metrics.estimated_threshold`), for the largest
        kept area that is not above `minimum_area`. Areas are of maps at the detector's
        own size.
        """
        if minimum_area < 1:
            raise ValueError(
                f"area_threshold: minimum_area must be at least 1 pixel, got "
                f"{minimum_area}."
            )
        kept = bisect.bisect_right(self.areas, minimum_area) - 1
        return self.area_thresholds[kept]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, which JSON keeps exactly."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Calibration":
        """The inverse of `as_dict`, also after JSON has made lists of tuples.

        Raises:
            ValueError: a part is missing, or not what it should be.
        """
        return cls(
            _scores_from(plain.part(content, "images", Mapping)),
            _scores_from(plain.part(content, "pixels", Mapping)),
            plain.numbers(content, "areas", int),
            plain.numbers(content, "area_thresholds", float),
        )


def from_normal_maps(maps: Float[np.ndarray, "image rows columns"]) -> Calibration:
    """Calibrates on the raw maps of normal images that training has not seen.

    Raises:
        ValueError: no map, or values that are not finite.
    """
    if not maps.size:
        raise ValueError(
            "from_normal_maps: at least one map of a held-out normal image is needed, "
            "got none."
        )
    if not np.isfinite(maps).all():
        first = int(np.argmin(np.isfinite(maps).all((1, 2))))
        raise ValueError(
            f"from_normal_maps: maps must be finite, map {first} has NaN or infinite "
            "values."
        )
    maps = maps.astype(np.float32)
    pixels = np.sort(maps, axis=None)
    kept = _kept_ranks(pixels.size)
    areas = np.unique(_geometric(maps[0].size, steps=_PER_DOUBLING, base=2)).tolist()
    return Calibration(
        images=_all_scores(maps.max((1, 2))),
        pixels=NormalScores(
            pixels.size, tuple(kept.tolist()), tuple(pixels[kept].tolist())
        ),
        areas=tuple(areas),
        area_thresholds=tuple(
            metrics.estimated_threshold(maps, minimum_area=area) for area in areas
        ),
    )


def held_out_rate(scores: Scores, threshold: float) -> float:
    """The share of other normal images, or of their pixels, that reaches `threshold`.

    To be told beside the rate that the threshold was set for: these images had no part
    in setting it.
    """
    scores = _as_numbers("held_out_rate", scores)
    _as_numbers("held_out_rate", np.array(threshold))
    if not scores.size:
        raise ValueError(
            "held_out_rate: at least one score of a normal image is needed, got none."
        )
    return float((scores >= threshold).mean())


def _all_scores(scores: Float[np.ndarray, " image"]) -> NormalScores:
    ordered = np.sort(scores).tolist()
    return NormalScores(len(ordered), tuple(range(len(ordered))), tuple(ordered))


def _scores_from(content: Mapping[str, Any]) -> NormalScores:
    return NormalScores(
        plain.part(content, "count", int),
        plain.numbers(content, "ranks", int),
        plain.numbers(content, "values", float),
    )


def _kept_ranks(count: int) -> Int[np.ndarray, " kept"]:
    """Even over all, and ever denser towards the highest."""
    from_top = _geometric(count, steps=_PER_DECADE, base=10)
    even = np.linspace(0, count - 1, _BODY + 1).astype(int)
    return np.unique(np.concatenate([count - from_top, even]))


def _geometric(most: int, *, steps: int, base: int) -> Int[np.ndarray, " kept"]:
    """Whole numbers from 1 to `most`, `steps` of them for each factor of `base`."""
    exponents = np.arange(steps * math.log(most, base) + 1) / steps
    return np.minimum(np.power(float(base), exponents).astype(int), most)


def _floor(share: float, count: int) -> int:
    """The floor of share * count, of the fraction that was meant."""
    return math.floor(_exact(share) * count)


def _exact(share: float) -> Fraction:
    # In binary 0.29 * 100 is below 29, and 49 * (1 / 49) below 1.
    binary = Fraction(float(share))
    return binary.limit_denominator(10**9) or binary


def _as_numbers(function: str, scores: Shaped[np.ndarray, "*shape"]) -> Scores:
    scores = np.asarray(scores, np.float64)
    if np.isnan(scores).any():
        raise ValueError(f"{function}: scores and thresholds must be numbers, got NaN.")
    return scores
