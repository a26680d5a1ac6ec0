"""Curves and histograms as SVG, drawn from arrays; colours are the page's."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT = 460, 330
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 46
HISTOGRAM_WIDTH, HISTOGRAM_HALF = 600, 64
BINS = 40
COLOURS = 8
"""Of lines; the page's style sheet defines as many."""
MOST_POINTS = 250
SLIDER_STOPS = 500

Points = Float[np.ndarray, " points"]
Scores = Float[np.ndarray, " _"]
Values = float | np.ndarray


class Line(NamedTuple):
    """A method's line; x ascends."""

    method: str
    kind: str
    x: Points
    y: Points


class Chart(NamedTuple):
    """Lines on axes from 0: x to `x_limit`, y to 1."""

    title: str
    x_label: str
    y_label: str
    x_limit: float
    lines: tuple[Line, ...]


class ScoreAxis(NamedTuple):
    """Where a score lies between the ends of a histogram, and of the slider below."""

    low: float
    high: float
    is_logarithmic: bool

    def position(self, scores: Values) -> Values:
        """0 at the left end, 1 at the right one."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(scores) - low) / (high - low)

    def value(self, positions: Values) -> Values:
        """The score at a position."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        values = low + positions * (high - low)
        return np.exp(values) if self.is_logarithmic else values

    def _scaled(self, values: Values) -> Values:
        return np.log(values) if self.is_logarithmic else values


def score_axis(scores: Scores) -> ScoreAxis:
    """An axis on which all scores lie, logarithmic if they span a factor of 30."""
    low, high = float(scores.min()), float(scores.max())
    if low > 0 and high > 30 * low:
        margin = (high / low) ** 0.03
        return ScoreAxis(low / margin, high * margin, True)
    margin = 0.03 * (high - low) or 0.5 * abs(high) or 0.5
    return ScoreAxis(low - margin, high + margin, False)


def slider_stops(axis: ScoreAxis, threshold: float) -> tuple[list[float | None], int]:
    """Thresholds for a slider below the axis, and the place of `threshold` in them.

    They are evenly spaced, but the one nearest to `threshold` is `threshold` itself.
    None, a last one, is reached by no score.
    """
    places = np.linspace(0.0, 1.0, SLIDER_STOPS + 1)
    stops: list[float | None] = np.asarray(axis.value(places)).tolist()
    if np.isposinf(threshold):
        return [*stops, None], len(stops)
    nearest = axis.position(min(max(threshold, axis.low), axis.high))
    place = round(float(nearest) * SLIDER_STOPS)
    stops[place] = float(threshold)
    return stops, place


def colour_indices(charts: Sequence[Chart]) -> dict[str, int]:
    """A colour for each method, the same in all charts."""
    methods = dict.fromkeys(line.method for chart in charts for line in chart.lines)
    return {method: index % COLOURS for index, method in enumerate(methods)}


def chart_svg(chart: Chart, colours: dict[str, int]) -> str:
    """The axes and a line for each method, dashed for baselines, dotted for floors."""
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{chart.title}: {chart.y_label} by {chart.x_label}")}">'
    ]
    for tick in range(6):
        parts += _ticks(tick / 5, chart.x_limit)
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts += [
        f'<text class="axis" x="{middle:g}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(chart.x_label)}</text>",
        f'<text class="axis" transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:g}) '
        f'rotate(-90)" text-anchor="middle">{escape(chart.y_label)}</text>',
    ]
    # The first line is drawn last, over the others.
    parts += [_path(line, chart, colours) for line in reversed(chart.lines)]
    return "".join([*parts, "</svg>"])


def _ticks(share: float, x_limit: float) -> list[str]:
    x, y = _place(share, share)
    return [
        f'<path class="grid" d="M{x:g} {TOP}V{HEIGHT - BOTTOM}M{LEFT} {y:g}'
        f'H{WIDTH - RIGHT}"/>',
        f'<text x="{x:g}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
        f"{share * x_limit:.2g}</text>",
        f'<text x="{LEFT - 8}" y="{y + 4:g}" text-anchor="end">{share:.2g}</text>',
    ]


def _place(x_share: float, y_share: float) -> tuple[float, float]:
    x = LEFT + x_share * (WIDTH - RIGHT - LEFT)
    return round(x, 1), round(HEIGHT - BOTTOM - y_share * (HEIGHT - BOTTOM - TOP), 1)


def _path(line: Line, chart: Chart, colours: dict[str, int]) -> str:
    inside = line.x < chart.x_limit
    # A curve leaves the chart at its edge, not at its last point before it.
    at_limit = np.interp(chart.x_limit, line.x, line.y)
    x, y = np.append(line.x[inside], chart.x_limit), np.append(line.y[inside], at_limit)
    kept = np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))
    places = map(_place, x[kept] / chart.x_limit, y[kept])
    points = "L".join(f"{a:g} {b:g}" for a, b in places)
    return (
        f'<path class="line {escape(line.kind)} c{colours[line.method]}" d="M{points}">'
        f"<title>{escape(line.method)}</title></path>"
    )


def histogram_svg(
    axis: ScoreAxis, *, normal: Scores, defective: Scores, held_out: Scores
) -> str:
    """Normal scores above the line, defective ones below, held-out ones as an outline.

    Heights are shares of each group, since groups differ in size. Stretched by the
    page: it contains no text.
    """
    shares = [_shares(axis, scores) for scores in (normal, defective, held_out)]
    highest = max(float(share.max()) for share in shares) or 1.0
    above, below, outline = (HISTOGRAM_HALF * share / highest for share in shares)
    width = HISTOGRAM_WIDTH / BINS
    bars = [
        f'<path class="{name}" d="{_bars(heights, width, sign)}"/>'
        for name, heights, sign in (("normal", above, -1), ("defective", below, 1))
    ]
    steps = "".join(
        f"V{HISTOGRAM_HALF - height:.1f}H{(index + 1) * width:g}"
        for index, height in enumerate(outline)
    )
    return (
        f'<svg class="histogram" viewBox="0 0 {HISTOGRAM_WIDTH} '
        f'{2 * HISTOGRAM_HALF if defective.size else HISTOGRAM_HALF}" '
        'preserveAspectRatio="none" aria-hidden="true">'
        f'{"".join(bars)}<path class="held-out" d="M0 {HISTOGRAM_HALF}{steps}'
        f'V{HISTOGRAM_HALF}"/><path class="grid" d="M0 {HISTOGRAM_HALF}'
        f'H{HISTOGRAM_WIDTH}"/></svg>'
    )


def _shares(axis: ScoreAxis, scores: Scores) -> Float[np.ndarray, " bins"]:
    if not scores.size:
        return np.zeros(BINS)
    counts, _ = np.histogram(axis.position(scores), bins=BINS, range=(0.0, 1.0))
    return counts / scores.size


def _bars(heights: Float[np.ndarray, " bins"], width: float, sign: int) -> str:
    return "".join(
        f"M{index * width + 1:g} {HISTOGRAM_HALF}v{sign * height:.1f}h{width - 2:g}"
        f"V{HISTOGRAM_HALF}z"
        for index, height in enumerate(heights)
        if height
    )
