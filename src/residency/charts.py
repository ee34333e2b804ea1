"""Charts as inline SVG: deterministic text, no library, every name escaped.

    forest      estimates with intervals, one line each
    curve       one series over steps; curves: two of them
    along       estimates with intervals over the share of a training
    tangent     one series over what it costs, and a price that touches it
    drawing     the stages of dvc.yaml as a graph; also stands alone as a file

All but the last take their colours from the page they stand in. `python -m residency.charts` draws
the declared graph to docs/graph.svg.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from math import ceil, floor, log10
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from markupsafe import Markup

LEFT = 46  # of a curve, in pixels: room for the numbers of its y axis


class Estimate(NamedTuple):
    """One line of a forest chart: a value between the ends of its interval."""

    name: str
    value: float
    low: float
    high: float


def forest(
    estimates: Sequence[Estimate], marks: dict[str, float], label: str, form: str = "{:.1f}"
) -> Markup:
    """A dot and a bar for each estimate over one axis; `marks` name dashed vertical lines."""
    row, top = 28, 26
    left = ceil(30 + 7.6 * max(len(each.name) for each in estimates))
    width = max(1000, left + 600)
    ends = [end for each in estimates for end in each[1:]] + list(marks.values())
    ticks = _ticks(min(ends), max(ends))
    bottom = top + row * len(estimates)

    def across(value: float) -> float:
        return _place(value, ticks, left, width - 74)

    parts = _grid([(across(tick), f"{tick:g}") for tick in ticks], top, bottom)
    for name, value in marks.items():
        x = across(value)
        parts.append(_line("mark", x, top - 4, x, bottom))
        parts.append(_text("note middle", x, top - 10, name))
    for number, each in enumerate(estimates):
        y = top + row * (number + 0.5)
        parts += [
            _text("name end", left - 12, y + 4, each.name),
            _line("bar", across(each.low), y, across(each.high), y),
            Markup('<circle class="dot" cx="{}" cy="{}" r="4.5"/>').format(across(each.value), y),
            _text("value end", width - 2, y + 4, form.format(each.value)),
        ]
    return _svg(width, bottom + 22, "chart", label, parts)


def curve(points: Sequence[tuple[float, float]], label: str) -> Markup:
    """One series as a line over steps from 0, its end marked."""
    return curves({"": points}, label)


def curves(series: Mapping[str, Sequence[tuple[float, float]]], label: str) -> Markup:
    """Up to two series over steps from 0, each with its end marked and its name over the chart."""
    named = 20 * any(series)
    values = [point for points in series.values() for point in points]
    last = max(*(x for x, _ in values), 1)
    frame = _Frame.around(360, 200 + named, last, [y for _, y in values], top=14 + named)
    parts = [*frame.grid(f"{last:g} steps")]
    at = float(LEFT)
    for (name, points), other in zip(series.items(), ("", " other"), strict=False):
        placed = [frame.place(*point) for point in points]
        if name:
            parts.append(_line(f"series{other}", at, 14, at + 22, 14))
            parts.append(_text("note", at + 28, 18, name))
            at += 48 + 6.6 * len(name)
        parts.append(_series(placed, other))
        x, y = placed[-1]
        parts.append(Markup('<circle class="dot{}" cx="{}" cy="{}" r="3.5"/>').format(other, x, y))
    return _svg(frame.width, frame.height, "chart", label, parts)


def tangent(
    points: Sequence[tuple[float, float]], at: int, slope: float, unit: str, label: str
) -> Markup:
    """One series with its points, of which `at` is ringed, and a dashed line of `slope` through it.

    x starts at 0 and its end is written with `unit`.
    """
    last = points[-1][0]
    frame = _Frame.around(720, 260, last, [y for _, y in points])
    x0, y0 = points[at]
    reach = sorted(x0 + (y - y0) / slope for y in frame.ends)
    start, end = (
        frame.place(x, y0 + slope * (x - x0)) for x in (max(0, reach[0]), min(last, reach[1]))
    )
    placed = [frame.place(*point) for point in points]
    parts = [*frame.grid(f"{last:.3g} {unit}")]
    parts += [_line("mark", *start, *end), _series(placed)]
    for number, (x, y) in enumerate(placed):
        kind, radius = ("dot chosen", 6) if number == at else ("dot", 3)
        parts.append(
            Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(kind, x, y, radius)
        )
    return _svg(frame.width, frame.height, "chart", label, parts)


class _Frame(NamedTuple):
    """Where a chart of one series over x from 0 stands, and what its axes say."""

    width: int
    height: int
    last: float
    ys: list[float]
    top: int

    @classmethod
    def around(
        cls, width: int, height: int, last: float, values: Sequence[float], top: int = 14
    ) -> _Frame:
        """A frame for x from 0 to `last` and these values of y, `top` pixels left free above."""
        return cls(width, height, last, _ticks(min(values), max(values), about=4), top)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest y."""
        return self.ys[0], self.ys[-1]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A point's place in the drawing."""
        top, bottom = self.top, self.height - 24
        return (
            _place(x, [0, self.last], LEFT, self.width - 12),
            round(top + bottom - _place(y, self.ys, top, bottom), 1),
        )

    def grid(self, end: str) -> list[Markup]:
        """Lines and numbers of both axes; `end` is written where x ends."""
        top, bottom, right = self.top, self.height - 24, self.width - 12
        room = (right - LEFT - 7.0 * len(end)) / (right - LEFT) * self.last
        xs = [tick for tick in _ticks(0, self.last, about=4) if tick < min(room, 0.8 * self.last)]
        parts = _grid([(self.place(x, self.ys[0])[0], f"{x:g}") for x in xs], top, bottom)
        for tick in self.ys:
            y = self.place(0, tick)[1]
            parts.append(_line("grid", LEFT, y, right, y))
            parts.append(_text("tick end", LEFT - 6, y + 4, f"{tick:.6g}"))
        return [*parts, _text("tick end", right, bottom + 16, end)]


def _series(placed: Sequence[tuple[float, float]], other: str = "") -> Markup:
    points = " ".join(f"{x},{y}" for x, y in placed)
    return Markup('<polyline class="series{}" points="{}"/>').format(other, points)


def along(points: Sequence[tuple[float, Estimate]], label: str) -> Markup:
    """Estimates with their intervals over the share of a training, in percent from 0 to 100."""
    width, height, left, top = 360, 200, 46, 14
    right, bottom = width - 16, height - 24
    ends = [end for _, each in points for end in each[1:]]
    ys = _ticks(min(ends), max(ends), about=4)

    def up(value: float) -> float:
        return round(top + bottom - _place(value, ys, top, bottom), 1)

    xs = [(_place(x, [0, 100], left, right), f"{x} %") for x in (0, 25, 50, 75, 100)]
    parts = _grid(xs, top, bottom)
    for tick in ys:
        parts += [
            _line("grid", left, up(tick), right, up(tick)),
            _text("tick end", left - 6, up(tick) + 4, f"{tick:g}"),
        ]
    placed = [(_place(x, [0, 100], left, right), each) for x, each in points]
    parts.append(
        Markup('<polyline class="series" points="{}"/>').format(
            " ".join(f"{x},{up(each.value)}" for x, each in placed)
        )
    )
    for x, each in placed:
        parts += [
            _line("bar", x, up(each.low), x, up(each.high)),
            Markup('<circle class="dot" cx="{}" cy="{}" r="4"><title>{}</title></circle>').format(
                x, up(each.value), f"{each.name}: {each.value:.1f} %"
            ),
        ]
    return _svg(width, height, "chart", label, parts)


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


def _ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers, evenly spaced, from at most `low` to at least `high`."""
    span = max(high - low, 1e-9 * max(abs(low), abs(high)))
    span = span if span > 1e-12 else 1.0
    power = 10 ** floor(log10(span / about))
    step = next(power * each for each in (1, 2, 5, 10) if span <= power * each * about)
    first, last = floor(low / step), max(ceil(high / step), floor(low / step) + 1)
    return [number * step for number in range(first, last + 1)]


def _place(value: float, ticks: Sequence[float], start: float, end: float) -> float:
    return round(start + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (end - start), 1)


def _grid(ticks: Iterable[tuple[float, str]], top: float, bottom: float) -> list[Markup]:
    parts = []
    for x, text in ticks:
        parts += [_line("grid", x, top, x, bottom), _text("tick middle", x, bottom + 16, text)]
    return parts


def _line(kind: str, x0: float, y0: float, x1: float, y1: float) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(kind, x0, y0, x1, y1)


def _text(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, x, y, text)


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
