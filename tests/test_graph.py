"""The graph says all there is to know of a stage, and dvc.yaml is what it says."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from project import REPOSITORY, tiny_params

from residency import declaration, graph

DEFAULT = declaration.load(REPOSITORY / "params.yaml", raw=False)
STEPS = sorted({stage.step for stage in graph.stages(DEFAULT)})
SOURCE = Path("src/residency")


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def stages() -> dict[str, graph.Stage]:
    found = graph.stages(declaration.load(Path("params.yaml")))
    return {stage.name: stage for stage in found}


def test_dvc_yaml_is_current() -> None:
    ours = graph.text(declaration.load(Path("params.yaml")))
    assert Path("dvc.yaml").read_text() == ours, "to repair: make generate"


def test_stages_come_after_what_they_need(stages: dict[str, graph.Stage]) -> None:
    order = list(stages)
    for stage in stages.values():
        for each in graph.needed(stage, stages.values()):
            assert order.index(each.name) < order.index(stage.name)


def test_no_two_stages_write_one_place(stages: dict[str, graph.Stage]) -> None:
    outs = [stage.out for stage in stages.values()]
    for out in outs:
        assert [each for each in outs if each.is_relative_to(out)] == [out]


def test_every_built_input_is_some_stages_output(stages: dict[str, graph.Stage]) -> None:
    for stage in stages.values():
        for path in stage.dependencies:
            if path.startswith("build/"):
                assert graph.owner(path, stages.values()) is not None, path


def test_data_is_packed_without_waiting_for_the_parent(stages: dict[str, graph.Stage]) -> None:
    needed = {each.name for each in graph.needed(stages["pack-resident"], stages.values())}
    assert "train-reader" not in needed
    assert "extend-clinical" in needed


def test_a_test_split_is_no_input_of_training(stages: dict[str, graph.Stage]) -> None:
    exams = [path for path in stages["pack-resident"].dependencies if "exams" in path]
    assert exams == ["build/exams/boards/train.jsonl", "build/exams/rounds/train.jsonl"]


def test_commands_say_nothing_of_where_and_how(stages: dict[str, graph.Stage]) -> None:
    for stage in stages.values():
        for word in ["thread", "gpu", "mem", "cores", "batch"]:
            assert word not in stage.command


def dotted(path: Path) -> str:
    """A module's name below residency."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def test_a_module_depends_on_every_first_party_file_it_imports() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        direct = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("residency"):
                within = Path("src", *node.module.split("."))
                direct |= {within / f"{each.name}.py" for each in node.names}
                direct.add(within.with_suffix(".py"))
        assert {path, *filter(Path.is_file, direct)} <= set(graph.code(dotted(path)))
    assert SOURCE / "reading/plain.py" in graph.code("ingest")
    assert SOURCE / "report.html.jinja" in graph.code("report")
    assert SOURCE / "train.py" not in graph.code("clean")


def test_every_file_beside_the_modules_is_some_modules_own() -> None:
    modules = list(SOURCE.rglob("*.py"))
    owned = {path for module in modules for path in graph.code(dotted(module))}
    files = {path for path in SOURCE.rglob("*.*") if path.suffix not in (".py", ".pyc")}
    assert SOURCE / "published.yaml" in files
    assert files - owned == set()


@pytest.mark.parametrize("step", [each for each in STEPS if each != "report"])
def test_a_step_knows_no_other_step_and_nothing_of_how_it_is_run(step: str) -> None:
    others = {*STEPS, "freshness", "job", "remotes", "share", "slurm"} - {step}
    found = {dotted(path) for path in graph.code(step)}
    assert step in found
    assert found & others == set()


@pytest.mark.parametrize("step", STEPS)
def test_one_word_names_a_step_everywhere(step: str) -> None:
    rules = "".join(path.read_text() for path in Path("rules").glob("*.smk"))
    rule = rules.partition(f"\nrule {step}:\n")[2].partition("\nrule ")[0]
    assert re.search(rf'\blog:\s+"logs/{step}[/.]', rule)
    assert re.search(rf'\bbenchmark:\s+"benchmarks/runs/{step}[/.]', rule)
    out = re.search(r'directory\("(\S+)"\)', rule)
    assert out
    stage = "-".join([step, *(f"{{wildcards.{name}}}" for name in re.findall(r"{(\w+)}", out[1]))])
    assert re.search(rf"""\bbuild\w*\(["']{re.escape(stage)}["']\)""", rule)
    assert (SOURCE / f"{step}.py").is_file()
    assert Path(f"tests/test_{step}.py").is_file()
    assert f"\n| {step} | " in Path("README.md").read_text()


def test_the_snakefile_is_a_contents_page() -> None:
    assert len(Path("Snakefile").read_text().splitlines()) < 40


def imported_by(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    return set(done.stdout.split())


def test_light_things_load_light() -> None:
    paths = [path.relative_to("src").with_suffix("") for path in Path("src").rglob("[a-z]*.py")]
    steps = [".".join(path.parts) for path in paths]
    assert len(steps) > 15
    heavy = {"torch", "transformers", "tokenizers", "peft", "matplotlib", "dvc", "snakemake"}
    heavy |= {"openai", "aiohttp", "llguidance"}
    assert not imported_by(*steps) & heavy


@pytest.mark.parametrize("step", STEPS)
def test_steps_say_how_they_are_used_without_torch(step: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"residency.{step}", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"python -m residency.{step}" in done.stdout
    assert "| torch\n" not in done.stderr


def test_a_candidate_on_its_way_is_read_from_inside_its_model() -> None:
    params = tiny_params()
    params["evaluations"]["finals"]["models"] = ["smollm2", "resident@50%"]
    (stage,) = [
        stage
        for stage in graph.stages(declaration.Declaration.model_validate(params))
        if stage.name == "evaluate-finals-resident-50"
    ]
    assert stage.inputs["model"] == [Path("build/models/resident/checkpoints/50")]
    assert stage.out == Path("build/evaluations/finals/resident-50")
