import re
from html.parser import HTMLParser

import numpy as np
import pytest

from vae_jax.report import charts


class Elements(HTMLParser):
    """The elements of a drawing, as (name, attributes)."""

    def __init__(self, markup: str):
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def of(self, name: str) -> list[dict]:
        classes = ((a, (a.get("class") or "").split()) for _, a in self.found)
        return [attributes for attributes, own in classes if name in own]


def line(method="ours", kind="attention", y=(0.0, 1.0), x=(0.0, 1.0)):
    return charts.Line(method, kind, np.array(x), np.array(y))


def chart(*lines, limit=1.0):
    return charts.Chart("ROC", "false positives", "true positives", limit, lines)


def points(path: str) -> np.ndarray:
    return np.array([pair.split() for pair in path[1:].split("L")], float)


@pytest.mark.parametrize(
    ("scores", "is_logarithmic"),
    [([1, 2, 5], False), ([1, 31], True), ([-1, 99], False)],
)
def test_the_axis_holds_all_scores_and_position_inverts_value(scores, is_logarithmic):
    axis = charts.score_axis(np.array(scores, float))
    assert axis.is_logarithmic == is_logarithmic
    places = axis.position(np.array(scores, float))
    assert ((places > 0) & (places < 1)).all()
    np.testing.assert_allclose(axis.value(places), scores)


@pytest.mark.parametrize("scores", [[3.0], [0.0, 0.0], [-2.0, -2.0]])
def test_equal_scores_still_have_an_axis(scores):
    axis = charts.score_axis(np.array(scores))
    assert axis.low < scores[0] < axis.high


@pytest.mark.parametrize("threshold", [2.71828, 1.0, 8.0, -50.0, 1e9])
def test_slider_stops_ascend_and_hold_the_threshold(threshold):
    axis = charts.score_axis(np.array([1.0, 8.0]))
    stops, place = charts.slider_stops(axis, threshold)
    assert stops[place] == threshold
    assert (np.diff(stops) > 0).all()


def test_the_ends_of_the_slider_flag_all_and_none():
    scores = np.random.default_rng(0).gamma(2.0, size=100)
    stops, _ = charts.slider_stops(charts.score_axis(scores), 1.0)
    assert (scores >= stops[0]).all()
    assert not (scores >= stops[-1]).any()


def test_an_infinite_threshold_is_a_last_stop_that_no_score_reaches():
    stops, place = charts.slider_stops(charts.score_axis(np.array([1.0, 2.0])), np.inf)
    assert place == len(stops) - 1
    assert stops[place] is None


def test_a_line_goes_from_corner_to_corner():
    drawn = Elements(charts.chart_svg(chart(line()), {"ours": 0}))
    ends = points(drawn.of("line")[0]["d"])
    left, bottom = charts.LEFT, charts.HEIGHT - charts.BOTTOM
    right, top = charts.WIDTH - charts.RIGHT, charts.TOP
    np.testing.assert_allclose(ends, [[left, bottom], [right, top]])


def test_a_line_is_cut_where_it_crosses_the_limit():
    cut = chart(line(x=(0.0, 0.2, 0.4), y=(0.0, 0.4, 0.8)), limit=0.3)
    end = points(Elements(charts.chart_svg(cut, {"ours": 0})).of("line")[0]["d"])[-1]
    height = charts.HEIGHT - charts.BOTTOM - charts.TOP
    np.testing.assert_allclose(end[0], charts.WIDTH - charts.RIGHT)
    np.testing.assert_allclose(end[1], charts.HEIGHT - charts.BOTTOM - 0.6 * height)


def test_a_long_line_is_thinned_and_keeps_its_ends():
    x = np.linspace(0, 1, 5000)
    drawn = points(
        Elements(charts.chart_svg(chart(line(x=x, y=x**2)), {"ours": 0})).of("line")[0][
            "d"
        ]
    )
    assert len(drawn) <= charts.MOST_POINTS
    assert drawn[-1, 1] == charts.TOP


def test_a_method_has_one_colour_in_all_charts():
    roc = chart(line("a"), line("b"))
    pro = chart(line("b"), line("c"))
    assert charts.colour_indices([roc, pro]) == {"a": 0, "b": 1, "c": 2}


def test_names_are_escaped():
    svg = charts.chart_svg(chart(line("<b>&", "x")), {"<b>&": 0})
    assert "<b>" not in svg
    assert "&lt;b&gt;&amp;" in svg


def heights(path: str) -> list[float]:
    return [abs(float(h)) for h in re.findall(r"v(-?[\d.]+)h", path)]


def test_bars_are_shares_of_their_group_on_one_scale():
    axis = charts.ScoreAxis(0.0, 40.0, False)  # a bin a unit
    drawn = Elements(
        charts.histogram_svg(
            axis,
            normal=np.array([0.5, 0.6, 0.7, 1.5]),
            defective=np.array([5.5, 6.5]),
            held_out=np.array([0.5]),
        )
    )
    full = charts.HISTOGRAM_HALF  # of the held-out score, all in one bin
    assert heights(drawn.of("normal")[0]["d"]) == [0.75 * full, 0.25 * full]
    assert heights(drawn.of("defective")[0]["d"]) == [0.5 * full, 0.5 * full]
    assert drawn.of("normal")[0]["d"].count("v-") == 2  # upwards
    assert f"V{0:.1f}H15" in drawn.of("held-out")[0]["d"]


def test_without_defects_there_is_no_lower_half():
    axis = charts.ScoreAxis(0.0, 1.0, False)
    none = np.zeros(0)
    svg = charts.histogram_svg(
        axis, normal=none, defective=none, held_out=np.array([0.5])
    )
    drawn = Elements(svg)
    assert drawn.found[0][1]["viewbox"] == f"0 0 600 {charts.HISTOGRAM_HALF}"
    assert drawn.of("defective")[0]["d"] == ""
