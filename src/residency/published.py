"""Scores that others published on a known exam (published.yaml), to stand beside ours.

They are shown, never computed with: others asked otherwise, and often other questions.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


@cache
def _known() -> dict[str, dict[str, Any]]:
    path = Path(__file__).with_suffix(".yaml")
    known: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(
        path.read_text(encoding="utf-8")
    )
    return known


def published(adapter: Any, split: str, questions: int) -> dict[str, Any] | None:
    """What is published on the exam an adapter reads, and how our questions differ from theirs.

    `adapter`: an exam's section; `split` and `questions`: what our models sat. None where the
    exam is none of those in published.yaml.
    """
    kind, setting = adapter.kind, getattr(adapter, "setting", None)
    found = _known().get(f"{kind} {setting}" if setting else kind)
    if found is None:
        return None
    same = (split, questions) == (found["split"], found["questions"])
    return {
        "source": found["source"],
        "rows": found["rows"],
        "theirs": f"{found['questions']:,} questions of the {found['split']} split",
        "ours": None if same else f"{questions:,} of {split}",
    }
