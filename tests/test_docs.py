"""The pages mention all that people can name."""

from __future__ import annotations

import re

import pytest
from project import REPOSITORY

from residency import devices, endpoint
from residency.evaluate import PROTOCOLS

CODE = "".join(path.read_text() for path in (REPOSITORY / "src").rglob("*.py"))
OURS = {f"RESIDENCY_{name}" for name in ("COMPLAINT", "JOB", "PARENT", "SHARES")}  # among processes
TOLD = {f"RESIDENCY_{each.upper()}" for each in (*devices.VARIABLES, *endpoint.VARIABLES)}
VARIABLES = {*re.findall(r"RESIDENCY_[A-Z_]*[A-Z]", CODE), *TOLD} - OURS
RECIPES = [path.stem for path in (REPOSITORY / "recipes").glob("*.yaml")]


@pytest.mark.parametrize(
    ("pages", "word"),
    [
        *(("evaluation.md", each) for each in PROTOCOLS),
        *(("recipes/README.md", each) for each in sorted(RECIPES)),
        *(("*.md", each) for each in sorted(VARIABLES)),
    ],
)
def test_the_pages_mention(pages: str, word: str) -> None:
    text = "".join(path.read_text() for path in (REPOSITORY / "docs").glob(pages))
    assert re.search(rf"(?<![\w-]){word}(?!\.md|[\w-])", text)
