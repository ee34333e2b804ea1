"""card: the README.md of a model, in the form that model hubs read.

A block of YAML for machines, then Markdown for people. Names and paths from outside are quoted so
that they stay words: they can neither close the YAML nor start a heading, a link or a table cell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path


def write_card(out: Path, front: dict[str, str], title: str, body: Iterable[str]) -> None:
    """Write `out`/README.md: front matter, a heading, and paragraphs of Markdown."""
    head = {"library_name": "transformers", "pipeline_tag": "text-generation", **front}
    yaml = "\n".join(f"{key}: {json.dumps(value)}" for key, value in head.items())
    text = "\n\n".join([f"---\n{yaml}\n---", f"# {title}", *body])
    (out / "README.md").write_text(text + "\n", encoding="utf-8")


def quoted(text: object) -> str:
    """Text from outside as one Markdown code span."""
    words = "".join(c if c.isprintable() else " " for c in str(text))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", words)), default=0))
    pad = " " if "`" in words else ""
    return f"{fence}{pad}{words}{pad}{fence}"


def table(header: tuple[str, str], rows: Iterable[tuple[str, object]]) -> str:
    """A Markdown table of names and quoted values."""
    lines = [f"| {header[0]} | {header[1]} |", "|---|---|"]
    for name, value in rows:
        cell = quoted(f"{value:.6g}" if isinstance(value, float) else value).replace("|", r"\|")
        lines.append(f"| {name} | {cell} |")
    return "\n".join(lines)
