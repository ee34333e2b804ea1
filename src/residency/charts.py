"""Charts by matplotlib as inline SVG that takes its colours and its type from the page.

    forest      estimates with intervals, one line each
    curves      one or two series over steps
    along       estimates with intervals over the share of a training
    tangent     one series over what it costs, and a price that touches it

The same values give the same text. matplotlib writes colours and fonts into each element; here
each colour stands for one of the page's (COLOURS), so that a chart is light or dark as the page is,
and names are shown as they are, never read as mathematics.
"""

from __future__ import annotations

import hashlib
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from markupsafe import Markup

COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#040404": "var(--accent)",
    "#050505": "var(--other)",
    "#060606": "var(--card)",
}
"""What is drawn in a colour on the left is shown in the page's on the right."""

INK, SOFT, LINE, ACCENT, OTHER, CARD = COLOURS

SVG, LINKS = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"

STYLE = {
    "svg.fonttype": "none",  # text stays text: small, and found by search
    "svg.hashsalt": "residency",
    "text.parse_math": False,
    "path.simplify_threshold": 1.0,  # pixels: a long training is no longer text than a short one
    "font.size": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.edgecolor": LINE,
    "axes.linewidth": 1,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "grid.color": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "ytick.major.size": 0,
    "xtick.major.size": 0,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.labelsize": 11,
    "legend.frameon": False,
    "legend.fontsize": 11,
}


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
    with _drawing(760, 62 + 28 * len(estimates), label) as (axes, drawn):
        rows = range(len(estimates))
        axes.hlines(
            rows, [e.low for e in estimates], [e.high for e in estimates], ACCENT, lw=3, alpha=0.5
        )
        axes.plot([e.value for e in estimates], rows, "o", color=ACCENT, ms=8)
        axes.set_yticks(rows, [each.name for each in estimates])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=12)
        axes.grid(axis="y", visible=False)
        axes.set_ylim(len(estimates) - 0.5, -0.5)
        across = axes.get_yaxis_transform()
        for row, each in enumerate(estimates):
            axes.text(
                1.02, row, form.format(each.value), va="center", weight="bold", transform=across
            )
        for name, value in marks.items():
            axes.axvline(value, color=SOFT, lw=1, ls=(0, (4, 4)))
            above = axes.get_xaxis_transform()
            axes.text(value, 1.02, name, ha="center", color=SOFT, size=11, transform=above)
    return drawn()


def curves(series: Mapping[str, Sequence[tuple[float, float]]], unit: str, label: str) -> Markup:
    """Up to two series over steps from 0; `unit` is the y axis's. One alone needs no name."""
    with _drawing(380, 230, label) as (axes, drawn):
        looks = ((ACCENT, "-"), (OTHER, (0, (5, 2))))
        for (name, points), (colour, dashes) in zip(series.items(), looks, strict=False):
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, color=colour, ls=dashes, lw=1.8, label=name)
            axes.plot(xs[-1:], ys[-1:], "o", color=colour, ms=5)
        axes.set_xlim(left=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("steps")
        axes.set_ylabel(unit)
        if any(series):
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0)
    return drawn()


def along(points: Sequence[tuple[float, Estimate]], label: str) -> Markup:
    """Estimates with their intervals over the share of a training, in percent from 0 to 100."""
    with _drawing(380, 230, label) as (axes, drawn):
        xs, estimates = zip(*points, strict=True)
        values = [each.value for each in estimates]
        axes.vlines(
            xs, [e.low for e in estimates], [e.high for e in estimates], ACCENT, lw=3, alpha=0.5
        )
        axes.plot(xs, values, "o-", color=ACCENT, lw=1.8, ms=6)
        axes.set_xticks([0, 25, 50, 75, 100], [f"{x} %" for x in (0, 25, 50, 75, 100)])
        axes.set_xlabel("share of its steps")
        axes.set_ylabel("right, %")
    return drawn()


def tangent(
    points: Sequence[tuple[float, float]], at: int, slope: float, unit: str, label: str
) -> Markup:
    """One series with its points, of which `at` is ringed, and a dashed line of `slope` through it.

    x starts at 0 and is written with `unit`.
    """
    with _drawing(760, 290, label) as (axes, drawn):
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, "o-", color=ACCENT, lw=1.8, ms=5)
        axes.plot(
            xs[at : at + 1],
            ys[at : at + 1],
            *("o",),
            **{"markerfacecolor": CARD, "markeredgecolor": ACCENT, "ms": 11, "mew": 2.5},
        )
        axes.set_xlim(left=0)
        axes.autoscale(enable=False)
        axes.axline((xs[at], ys[at]), slope=slope, color=SOFT, lw=1.2, ls=(0, (4, 4)))
        axes.set_xlabel(unit)
        axes.set_ylabel("bits per byte")
    return drawn()


@contextmanager
def _drawing(width: int, height: int, label: str) -> Iterator[tuple[Any, Callable[[], Markup]]]:
    """Axes of so many pixels, and what gives their SVG once the block is left."""
    import matplotlib
    from matplotlib.figure import Figure

    stream = io.StringIO()
    params: Any = {**matplotlib.rcParamsDefault, **STYLE}
    with matplotlib.rc_context(params):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        yield axes, lambda: _themed(stream.getvalue(), width, height, label)
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator")))


def _themed(text: str, width: int, height: int, label: str) -> Markup:
    """matplotlib's SVG for a page: no ids but those referred to, the page's colours and type."""
    root = ET.fromstring(text)
    for child in root.findall(f"{SVG}metadata"):
        root.remove(child)
    for definitions in root.iter(f"{SVG}defs"):  # a style there would be the whole page's
        for child in definitions.findall(f"{SVG}style"):
            definitions.remove(child)
    used = set(re.findall(r"#([A-Za-z][\w-]*)", text))
    mine = hashlib.sha256(f"{label}{text}".encode()).hexdigest()[:8]
    for each in root.iter():
        if link := each.attrib.pop(f"{LINKS}href", None):
            each.set("href", f"#{mine}{link[1:]}")
        if (name := each.attrib.pop("id", None)) in used:
            each.set("id", f"{mine}{name}")
        if "clip-path" in each.attrib:
            each.set("clip-path", each.attrib["clip-path"].replace("#", f"#{mine}"))
        if each.tag == f"{SVG}text":
            _retyped(each)
        elif "style" in each.attrib:
            each.set("style", _recoloured(each.attrib["style"]))
    root.attrib.update(
        {
            "class": "chart",
            "width": str(width),
            "height": str(height),
            "role": "img",
            "aria-label": label,
        }
    )
    ET.register_namespace("", SVG[1:-1])
    return Markup(ET.tostring(root, encoding="unicode"))


def _recoloured(style: str) -> str:
    for drawn, shown in COLOURS.items():
        style = style.replace(drawn, shown)
    return re.sub(r"; stroke-linecap: square|; stroke-linejoin: (round|miter)", "", style)


def _retyped(text: ET.Element) -> None:
    """Leave a text its size, weight, place and colour; the page says the typeface."""
    style = text.attrib["style"]
    kept = re.findall(r"text-anchor: \w+|fill: #\w+", style)
    size = re.search(r"([\d.]+)px", style)
    kept.append(f"font-size: {size[1] if size else 12}px")
    if "font-weight: 700" in style:
        kept.append("font-weight: 600")
    text.set("style", _recoloured("; ".join(kept)))
