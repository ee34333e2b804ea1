from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from residency.charts import COLOURS, Estimate, along, curves, forest, tangent

SVG = "{http://www.w3.org/2000/svg}"
POINTS = [(0.0, 1.5), (0.1, 1.42), (0.2, 1.41), (0.4, 1.405), (0.8, 1.404)]


def texts(chart: str) -> list[str | None]:
    return [each.text for each in ET.fromstring(chart).iter(f"{SVG}text")]


def lines(chart: str, colour: str, width: str) -> list[list[tuple[float, float]]]:
    """The corners of each path of a colour and width."""
    found = []
    for path in ET.fromstring(chart).iter(f"{SVG}path"):
        style = path.attrib.get("style", "")
        if f"stroke: var(--{colour})" in style and f"stroke-width: {width}" in style:
            numbers = [float(each) for each in re.findall(r"[-\d.]+", path.attrib["d"])]
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


def dots(chart: str) -> list[tuple[float, float]]:
    """Where markers stand."""
    uses = ET.fromstring(chart).iter(f"{SVG}use")
    return [(float(each.attrib["x"]), float(each.attrib["y"])) for each in uses]


def test_a_forest_draws_each_interval_around_its_value() -> None:
    chart = forest([Estimate("a", 50, 40, 60), Estimate("<b>", 20, 20, 20)], {"chance": 25}, "it")
    bars, values = lines(chart, "accent", "3"), dots(chart)
    assert len(bars) == len(values) == 2
    assert bars[0][0][0] < values[0][0] < bars[0][1][0]
    assert bars[1][0][0] == bars[1][1][0] == values[1][0]
    assert {"a", "<b>", "chance", "50.0", "20.0"} <= set(texts(chart))


def test_a_curve_of_one_step_is_drawn() -> None:
    chart = curves({"": [(1, 2.5)]}, "bits", "loss")
    assert ET.fromstring(chart).attrib["aria-label"] == "loss"
    assert len(dots(chart)) == 1


def test_two_curves_share_their_axes_and_are_named() -> None:
    chart = curves({"<a>": [(0, 2.0), (9, 1.0)], "b": [(0, 1.0), (9, 2.0)]}, "bits", "both")
    one, other = lines(chart, "accent", "1.8")[0], lines(chart, "other", "1.8")[0]
    assert [y for _, y in one] == [y for _, y in other][::-1]
    assert {"<a>", "b", "bits", "steps"} <= set(texts(chart))


def test_a_long_training_is_little_more_text_than_a_short_one() -> None:
    series = {steps: [(at, 1 / (1 + at)) for at in range(steps)] for steps in (100, 100_000)}
    short, long = (len(curves({"": points}, "bits", "loss")) for points in series.values())
    assert long < 5 * short


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_tangent_touches_the_curve_at_the_point_ringed(at: int) -> None:
    chart = tangent(POINTS, at, -0.05, "million <parameters>", "worth")
    *_, (x, y) = dots(chart)  # the ring is drawn last
    assert (x, y) == dots(chart)[at]
    ((start, end),) = lines(chart, "soft", "1.2")
    (x0, y0), (x1, y1) = start, end
    assert abs((y - y0) * (x1 - x0) - (y1 - y0) * (x - x0)) < 0.2 * abs(x1 - x0)
    assert "million <parameters>" in texts(chart)


def test_scores_along_a_training_stand_in_its_order_with_their_intervals() -> None:
    points = [
        (0, Estimate("base", 30.0, 20.0, 40.0)),
        (50, Estimate("<b>@50%", 45.0, 35.0, 55.0)),
        (100, Estimate("<b>", 60.0, 50.0, 70.0)),
    ]
    chart = along(points, "Scores")
    placed = dots(chart)
    assert len(placed) == len(lines(chart, "accent", "3")) == 3
    assert all(one[0] < other[0] and one[1] > other[1] for one, other in pairwise(placed))
    assert placed[1][0] - placed[0][0] == pytest.approx(placed[2][0] - placed[1][0], abs=0.2)


def test_a_chart_takes_colours_and_type_from_the_page() -> None:
    chart = forest([Estimate("a", 50, 40, 60)], {"chance": 25}, "it")
    assert not [drawn for drawn in COLOURS if drawn in chart]
    assert "font-family" not in chart
    assert "<style" not in chart


def test_names_are_shown_as_they_are_and_labels_escaped() -> None:
    name = '$x_1$ & </svg><script>alert(1)</script>"'
    chart = forest([Estimate(name, 50, 40, 60)], {}, name)
    root = ET.fromstring(chart)
    assert name in texts(chart)
    assert root.attrib["aria-label"] == name
    assert not list(root.iter(f"{SVG}script"))


def test_two_charts_on_one_page_share_no_id_and_the_same_chart_is_the_same_text() -> None:
    one, again, other = (
        forest([Estimate("a", value, 40, 60)], {}, f"chart {value}") for value in (50, 50, 51)
    )
    assert one == again
    ids = [set(re.findall(r' id="([^"]+)"', chart)) for chart in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
