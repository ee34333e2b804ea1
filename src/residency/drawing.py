"""The graph of dvc.yaml's stages as an SVG that stands alone; every name escaped.

No library draws it: the known one for layered graphs (Graphviz) is a program that a user would
have to install beside Python. `python -m residency.drawing` draws the declared graph to
docs/graph.svg.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Any

from markupsafe import Markup


def links(stages: dict[str, Any]) -> list[tuple[str, str]]:
    """Which stage feeds which: a path one depends on equals or lies in what the other writes."""
    maker = {_path(out): name for name, stage in stages.items() for out in stage.get("outs", [])}
    found = set()
    for name, stage in stages.items():
        for dependency in stage.get("deps", []):
            path = _path(dependency)
            found |= {(maker[each], name) for each in (path, *path.parents) if each in maker}
    return sorted(found)


# A point of the drawing: a stage, or where an edge crosses a layer on its way: (from, to, layer).
_Node = str | tuple[str, str, int]

_HUES = (210, 25, 145, 275, 50, 340, 185, 100, 240, 5)
_BOX = 40  # height of a stage's box
_ROOM = 56  # for it in its layer
_PASSING = 16  # room for an edge on its way through a layer


def drawing(stages: dict[str, Any]) -> str:
    """Draw dvc.yaml's stages, left to right, as an SVG that stands alone.

    Layers by longest path, long edges bent around boxes, orders by the barycentre heuristic
    (Sugiyama, Tagawa & Toda 1981). A stage that reads everything, as `report` does, would hide the
    rest behind its edges: for those into the last layer only the ones no other path implies are
    drawn.
    """
    layers, steps = _layered(sorted(stages), links(stages))
    _untangle(layers, steps)
    heights = _heights(layers, steps)
    lowest = min(heights.values(), default=0)
    y = {node: round(height - lowest + 32, 1) for node, height in heights.items()}
    spans, x = [], 12.0
    for layer in layers:
        titles = [_titles(node) for node in layer if isinstance(node, str)]
        wide = 26 + 8.2 * max((len(text) for title in titles for text in title), default=0)
        spans.append((round(x, 1), round(x + wide, 1)))
        x += wide + 56
    place = {node: spans[number] for number, layer in enumerate(layers) for node in layer}

    parts = [Markup("<style>{}</style>").format(Markup(_style(stages)))]
    for start, end in steps:
        (_, x0), (x1, through), y0, y1 = place[start], place[end], y[start], y[end]
        middle = round((x0 + x1) / 2, 1)
        on = f" L{through},{y1}" if isinstance(end, tuple) else ""
        parts.append(
            Markup('<path class="edge" d="M{},{} C{},{} {},{} {},{}{}"/>').format(
                x0, y0, middle, y0, middle, y1, x1, y1, on
            )
        )
    for name in sorted(stages):
        (x0, x1), middle = place[name], y[name]
        small, large = _titles(name)
        parts.append(
            Markup(
                '<g class="{}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="7"/>'
                '<text class="step" x="{}" y="{}">{}</text>'
                '<text class="stage" x="{}" y="{}">{}</text></g>'
            ).format(
                f"s{_steps(stages).index(_step(name))}",
                name,
                *(x0, round(middle - _BOX / 2, 1), round(x1 - x0, 1), _BOX),
                *(x0 + 12, round(middle - 4, 1), small),
                *(x0 + 12, round(middle + (12 if small else 4.5), 1), large),
            )
        )
    label = f"Graph of {len(stages)} stages and what each one feeds"
    return str(_svg(ceil(x - 44), ceil(max(y.values(), default=0) + 32), "graph", label, parts))


def _layered(
    names: list[str], edges: list[tuple[str, str]]
) -> tuple[list[list[_Node]], list[tuple[_Node, _Node]]]:
    """Nodes by layer, and the edges cut into steps from one layer to the next."""
    parents = {name: [start for start, end in edges if end == name] for name in names}
    depth: dict[str, int] = {}
    above: dict[str, set[str]] = {}
    for name in TopologicalSorter(parents).static_order():
        depth[name] = 1 + max((depth[each] for each in parents[name]), default=-1)
        above[name] = set(parents[name]).union(*(above[each] for each in parents[name]))
    last = max(depth.values(), default=0)
    layers: list[list[_Node]] = [[] for _ in range(last + 1)]
    for name in names:
        layers[depth[name]].append(name)
    steps: list[tuple[_Node, _Node]] = []
    for start, end in edges:
        if depth[end] == last and any(start in above[other] for other in parents[end]):
            continue
        chain: list[_Node] = [start]
        for layer in range(depth[start] + 1, depth[end]):
            chain.append((start, end, layer))
            layers[layer].append(chain[-1])
        steps += zip(chain, [*chain[1:], end], strict=True)
    return layers, steps


def _untangle(layers: list[list[_Node]], steps: list[tuple[_Node, _Node]]) -> None:
    """Order each layer by where its neighbours stand in the one before, then the one after."""
    before, after = defaultdict(list), defaultdict(list)
    for start, end in steps:
        after[start].append(end)
        before[end].append(start)
    for _ in range(12):
        for neighbours, way in ((before, layers), (after, layers[::-1])):
            for near, layer in pairwise(way):
                rank = {node: number for number, node in enumerate(near)}
                own = {node: number for number, node in enumerate(layer)}
                layer.sort(key=lambda node: _mean([rank[e] for e in neighbours[node]], own[node]))


def _heights(layers: list[list[_Node]], steps: list[tuple[_Node, _Node]]) -> dict[_Node, float]:
    """A height for each node: near its neighbours', in its layer's order, with room around it."""
    neighbours = defaultdict(list)
    for start, end in steps:
        neighbours[start].append(end)
        neighbours[end].append(start)
    y = {node: 40.0 * number for layer in layers for number, node in enumerate(layer)}
    for sweep in range(24):
        for layer in layers if sweep % 2 else layers[::-1]:
            wanted = [_mean([y[each] for each in neighbours[node]], y[node]) for node in layer]
            free = float("-inf")
            for node, height in zip(layer, wanted, strict=True):
                room = (_ROOM if isinstance(node, str) else _PASSING) / 2
                y[node] = max(height, free + room)
                free = y[node] + room
            shift = _mean([h - y[node] for node, h in zip(layer, wanted, strict=True)], 0)
            for node in layer:
                y[node] += shift
    return y


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _path(entry: str | dict[str, Any]) -> PurePosixPath:
    """The path of an entry of deps or outs, which may carry options: {path: {cache: false}}."""
    return PurePosixPath(entry if isinstance(entry, str) else next(iter(entry)))


def _titles(stage: str) -> tuple[str, str]:
    """What its box says, small and large; a stage without a name of its own is its step."""
    step, _, names = stage.partition("-")
    return (step, names.replace("-", " · ")) if names else ("", step)


def _step(stage: str) -> str:
    return stage.partition("-")[0]


def _steps(stages: Iterable[str]) -> list[str]:
    return sorted({_step(name) for name in stages})


def _style(stages: Iterable[str]) -> str:
    fonts = "font-family:system-ui,sans-serif"
    light = ["text{fill:#1b1f24}", ".edge{stroke:#8b95a1}"]
    dark = ["text{fill:#e8eaed}", ".edge{stroke:#7d8794}"]
    for number in range(len(_steps(stages))):
        hue = _HUES[number % len(_HUES)]
        light.append(f".s{number} rect{{fill:hsl({hue} 70% 93%);stroke:hsl({hue} 45% 55%)}}")
        dark.append(f".s{number} rect{{fill:hsl({hue} 30% 20%);stroke:hsl({hue} 40% 50%)}}")
    return (
        f".graph text{{{fonts};font-size:13px}} .graph .step{{font-size:10.5px;opacity:.75}} "
        ".graph .stage{font-weight:600} .graph .edge{fill:none;stroke-width:1.3;opacity:.75} "
        + " ".join(f".graph {rule}" for rule in light)
        + " @media (prefers-color-scheme:dark){"
        + " ".join(f".graph {rule}" for rule in dark)
        + "}"
    )


def _svg(width: int, height: int, kind: str, label: str, parts: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="{}" viewBox="0 0 {} {}" width="{}" '
        'height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(kind, width, height, width, height, label, Markup("").join(parts))


def main() -> None:
    """Draw the graph that params.yaml declares."""
    from residency import declaration, graph
    from residency.files import write_file

    stages = graph.described(declaration.load(graph.PARAMS))["stages"]
    write_file(Path("docs/graph.svg"), drawing(stages))


if __name__ == "__main__":
    main()
