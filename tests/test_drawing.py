from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import REPOSITORY

from residency import declaration, graph
from residency.drawing import drawing, links

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
