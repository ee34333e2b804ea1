"""Every recipe is a declaration that says what it follows, what it does not, and what to bring.

The small ones are built, each in a folder of its own; `--basetemp FOLDER` says where.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from project import REPOSITORY, laid_out

from residency import declaration, graph
from residency.files import read_json

RECIPES = sorted((REPOSITORY / "recipes").glob("*.yaml"))
PAGES = REPOSITORY / "docs/recipes"
DATA = REPOSITORY.parent / "shared/data"

# What each small recipe takes: path below data/raw -> path below ../shared/data.
RAW = {
    "antglm-med-small": {
        "openstax_anatomy_physiology_2e": "openstax_anatomy_physiology_2e",
        "medqa": "medqa",
        "mediq": "mediq",
        "pubmedqa": "pubmedqa",
    },
    "cnmle-small": {"cmexam": "cmexam", "tcm": "tcm"},
    "mqg-small": {
        "openstax_anatomy_physiology_2e": "openstax_anatomy_physiology_2e",
        "frenchmedmcqa": "frenchmedmcqa",
        "mediq": "mediq",
    },
    "openstax-anatomy": {
        "openstax_anatomy_physiology_2e": "openstax_anatomy_physiology_2e",
    },
    "law-small": {},  # recipes/law-small holds it
}


def test_there_are_recipes_and_all_that_two_cores_can_take_are_built() -> None:
    names = {path.stem for path in RECIPES}
    assert {"antglm-med", "cnmle", "mqg"} <= names
    assert {name for name in names if name.endswith("-small")} | {"openstax-anatomy"} == RAW.keys()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_declaration_once_its_raw_files_are_there(path: Path) -> None:
    declared = declaration.load(path, raw=False)
    assert "evaluate-" in graph.text(declared)
    head = path.read_text().partition("sources:")[0]
    for word in ("After", "Does not", "Bring"):
        assert f"# {word}" in head
    for name, found in (declared.sources | declared.exams).items():
        assert found.homepage or found.path.startswith("recipes/"), name
    assert page(path.stem).is_file()


@pytest.mark.slow
@pytest.mark.recipes
@pytest.mark.parametrize("name", RAW)
def test_a_small_recipe_is_built_and_its_page_says_what_came_out(name: str, tmp_path: Path) -> None:
    for raw in RAW[name].values():
        if not (DATA / raw).exists():
            pytest.skip(f"needs ../shared/data/{raw}")
    project = laid_out(tmp_path / "project")
    for place, raw in RAW[name].items():
        copy = shutil.copytree if (DATA / raw).is_dir() else shutil.copy
        (project.root / "data/raw" / place).parent.mkdir(parents=True, exist_ok=True)
        copy(DATA / raw, project.root / "data/raw" / place)
    if (REPOSITORY / "recipes" / name).exists():
        shutil.copytree(REPOSITORY / "recipes" / name, project.root / "recipes" / name)
    shutil.copy(REPOSITORY / f"recipes/{name}.yaml", project.root / "params.yaml")
    project.run("python", "-m", "residency.graph")
    # The models are large enough for more than the one thread of other tests' jobs.
    project.run("env", "-u", "OMP_NUM_THREADS", "snakemake", "--cores", "all", "eval")
    assert project.changed() == set()

    metrics = read_json(project.root / "build/report/metrics.json")
    told = rows(page(name))
    missing = [
        (evaluation, model)
        for evaluation, models in metrics.items()
        for model, each in models.items()
        if not each["low"] <= told.get((evaluation, model), -1.0) <= each["high"]
    ]
    differences = read_json(project.root / "build/report/differences.json")
    assert not missing, f"{page(name)} should say:\n\n{table(metrics, differences)}\n{missing}"


def page(name: str) -> Path:
    """The page of a recipe; the paper's scale and the small one may share it."""
    own = PAGES / f"{name}.md"
    return own if own.exists() else PAGES / f"{name.removesuffix('-small')}.md"


def rows(path: Path) -> dict[tuple[str, str], float]:
    """The scores of a page's tables, as shares, by evaluation and model: their first two cells."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        cells = [cell.strip(" *`") for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) > 2 and "%" in cells[2]:
            found[cells[0], cells[1]] = float(cells[2].partition("%")[0].strip(" *")) / 100
    return found


def table(metrics: dict[str, Any], differences: dict[str, Any]) -> str:
    """The table that a page should have."""
    lines = ["| evaluation | model | score | minus the first |", "|---|---|---|---|"]
    for evaluation, models in metrics.items():
        first = next(iter(models))
        for model, each in models.items():
            value, low, high = (100 * each[key] for key in ("accuracy", "low", "high"))
            apart = differences[evaluation].get(model, {}).get(first)
            lines.append(
                f"| {evaluation} | {model} | {value:.1f} % ({low:.1f} – {high:.1f}) | "
                + ("{points:+.1f} ({low:+.1f} to {high:+.1f}) |".format(**apart) if apart else "|")
            )
    return "\n".join(lines)


def test_a_page_tells_scores_in_tables_that_can_be_read_back(tmp_path: Path) -> None:
    score = {"accuracy": 0.4, "low": 0.25, "high": 0.55, "questions": 40}
    apart = {"points": 15.0, "low": 2.5, "high": 27.5, "p": 0.02}
    told = table(
        {"finals": {"base": score, "resident": score}}, {"finals": {"resident": {"base": apart}}}
    )
    assert told.endswith("| finals | resident | 40.0 % (25.0 – 55.0) | +15.0 (+2.5 to +27.5) |")
    (tmp_path / "page.md").write_text(f"# A page\n\n{told.replace('40.0 %', '**40.0 %**')}\n")
    assert rows(tmp_path / "page.md") == {("finals", "base"): 0.4, ("finals", "resident"): 0.4}
