from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import REPOSITORY

from residency import declaration, graph
from residency.charts import Estimate, _ticks, along, curve, curves, drawing, forest, links, tangent

SVG = "{http://www.w3.org/2000/svg}"
STAGES = {
    "ingest-a": {"cmd": "x", "deps": ["data/raw/a"], "outs": ["build/documents/a"]},
    "ingest-ab": {"cmd": "x", "deps": ["data/raw/ab"], "outs": ["build/documents/ab"]},
    "clean-c": {
        "cmd": "x",
        "deps": ["build/documents/a/documents.jsonl", "build/documents/ab"],
        "outs": [{"build/corpora/c": {"cache": False}}],
    },
    "report": {"cmd": "x", "deps": ["build/corpora/c", "build/documents/a"], "outs": ["r"]},
}


def test_a_stage_is_linked_to_who_writes_what_it_reads() -> None:
    assert links(STAGES) == [
        ("clean-c", "report"),
        ("ingest-a", "clean-c"),
        ("ingest-a", "report"),
        ("ingest-ab", "clean-c"),
    ]


def test_the_drawing_is_xml_with_one_box_for_each_stage() -> None:
    root = ET.fromstring(drawing(STAGES))
    assert [each.text for each in root.iter(f"{SVG}title")] == sorted(STAGES)
    assert len(list(root.iter(f"{SVG}path"))) == 3  # report reads ingest-a by way of clean-c too


def test_names_are_escaped() -> None:
    name = "clean-</style><script>x</script>"
    root = ET.fromstring(drawing({name: {"outs": ["build/a"]}}))
    assert [each.text for each in root.iter(f"{SVG}title")] == [name]
    assert not list(root.iter(f"{SVG}script"))


def test_the_picture_in_the_readme_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    stages = graph.described(declaration.load(graph.PARAMS))["stages"]
    ours = drawing(stages)
    assert (REPOSITORY / "docs/graph.svg").read_text() == ours, "to repair: make generate"


def test_the_drawing_does_not_depend_on_the_order_of_stages() -> None:
    assert drawing(STAGES) == drawing(dict(reversed(STAGES.items())))


def test_an_empty_graph_is_an_empty_drawing() -> None:
    assert not list(ET.fromstring(drawing({})).iter(f"{SVG}rect"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 20), max_size=4), max_size=20))
def test_boxes_never_overlap_and_edges_go_right(parents: list[set[int]]) -> None:
    stages = {
        f"clean-{number}": {
            "outs": [f"out/{number}"],
            "deps": [f"out/{each}" for each in sorted(before) if each < number],
        }
        for number, before in enumerate(parents)
    }
    boxes = [
        tuple(float(each.attrib[key]) for key in ("x", "y", "width", "height"))
        for each in ET.fromstring(drawing(stages)).iter(f"{SVG}rect")
    ]
    assert len(boxes) == len(stages)
    for number, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, other_width, other_height in boxes[:number]:
            apart = x >= other_x + other_width or other_x >= x + width
            assert apart or y >= other_y + other_height or other_y >= y + height
    place = {f"clean-{n}": boxes[k][0] for k, n in enumerate(sorted(range(len(parents)), key=str))}
    assert all(place[start] < place[end] for start, end in links(stages))


def test_a_forest_draws_each_interval_around_its_value() -> None:
    root = ET.fromstring(
        forest([Estimate("a", 50, 40, 60), Estimate("<b>", 20, 20, 20)], {"chance": 25}, "label")
    )
    bars = [e.attrib for e in root.iter(f"{SVG}line") if e.attrib["class"] == "bar"]
    dots = [float(each.attrib["cx"]) for each in root.iter(f"{SVG}circle")]
    assert float(bars[0]["x1"]) < dots[0] < float(bars[0]["x2"])
    assert bars[1]["x1"] == bars[1]["x2"]
    assert "<b>" in [each.text for each in root.iter(f"{SVG}text")]


def test_a_curve_of_one_step_is_drawn() -> None:
    root = ET.fromstring(curve([(1, 2.5)], "loss"))
    assert root.attrib["aria-label"] == "loss"


def test_two_curves_share_their_axes_and_are_named() -> None:
    root = ET.fromstring(curves({"<a>": [(0, 2.0), (9, 1.0)], "b": [(0, 1.0), (9, 2.0)]}, "bits"))
    one, other = (each.attrib for each in root.iter(f"{SVG}polyline"))
    heights = [[point.split(",")[1] for point in each["points"].split()] for each in (one, other)]
    assert heights[0] == heights[1][::-1]
    assert (one["class"], other["class"]) == ("series", "series other")
    assert {"<a>", "b"} <= {each.text for each in root.iter(f"{SVG}text")}


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_enclose_what_they_measure_and_are_few(low: float, span: float) -> None:
    ticks = _ticks(low, low + span)
    near = 1e-5 * (ticks[1] - ticks[0])
    assert ticks[0] <= low + near
    assert ticks[-1] >= low + span - near
    assert sorted(set(ticks)) == ticks
    assert 2 <= len(ticks) <= 9


@pytest.mark.parametrize("value", [0.0, 5.0, -0.3])
def test_ticks_around_one_value_are_not_one_point(value: float) -> None:
    ticks = _ticks(value, value)
    assert ticks[0] < ticks[-1]


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_tangent_touches_the_curve_at_the_point_named_and_stays_in_the_frame(at: int) -> None:
    points = [(0.0, 1.5), (0.1, 1.42), (0.2, 1.41), (0.4, 1.405), (0.8, 1.404)]
    root = ET.fromstring(tangent(points, at, -0.05, "million <parameters>", "worth"))
    dots = [each for each in root.iter(f"{SVG}circle") if "chosen" in each.attrib["class"]]
    (line,) = [each for each in root.iter(f"{SVG}line") if each.attrib["class"] == "mark"]
    assert len(dots) == 1
    x0, y0, x1, y1 = (float(line.attrib[key]) for key in ("x1", "y1", "x2", "y2"))
    x, y = float(dots[0].attrib["cx"]), float(dots[0].attrib["cy"])
    assert x0 <= x <= x1
    assert y0 <= y <= y1
    assert abs((y - y0) * (x1 - x0) - (y1 - y0) * (x - x0)) < 0.2 * (x1 - x0)
    assert min(y0, y1) >= 14
    assert max(y0, y1) <= 260 - 24


def test_scores_along_a_training_stand_in_its_order_with_their_intervals() -> None:
    points = [
        (0, Estimate("base", 30.0, 20.0, 40.0)),
        (50, Estimate("<b>@50%", 45.0, 35.0, 55.0)),
        (100, Estimate("<b>", 60.0, 50.0, 70.0)),
    ]
    chart = ET.fromstring(along(points, "Scores"))
    dots = [each for each in chart.iter() if each.tag.endswith("circle")]
    titles = [each[0].text for each in dots]
    assert titles == ["base: 30.0 %", "<b>@50%: 45.0 %", "<b>: 60.0 %"]
    xs, ys = ([float(dot.attrib[key]) for dot in dots] for key in ("cx", "cy"))
    assert xs == sorted(xs)
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert ys == sorted(ys, reverse=True)
    assert len([each for each in chart.iter() if each.attrib.get("class") == "bar"]) == 3
