"""Every recipe is a declaration that says what it follows, what it does not, and what to bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from residency import declaration, graph

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


def test_there_are_recipes() -> None:
    assert {"antglm-med", "cnmle", "cnmle-small", "mqg"} <= {path.stem for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_declaration_once_its_raw_files_are_there(path: Path) -> None:
    declared = declaration.load(path, raw=False)
    assert "evaluate-" in graph.text(declared)
    head = path.read_text().partition("sources:")[0]
    for word in ("After", "Does not", "Bring"):
        assert f"# {word}" in head
    for name, found in (declared.sources | declared.exams).items():
        assert found.homepage, name
