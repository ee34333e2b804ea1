"""`residency init`: a new project that builds, in an empty folder only."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from project import EVERYDAY, PRIMER, REPOSITORY, Project, tiny_params, typed
from tiny import tiny_model

from residency import declaration, graph
from residency.commands import init


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new") / "drakes"
    init.laid_out(folder)
    return folder


def test_a_new_project_is_the_default_and_its_graph_is_current(
    new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(new)
    declared = declaration.load(Path("params.yaml"))
    assert declared == declaration.load(REPOSITORY / "params.yaml")
    graph.check(declared)
    assert (new / "dvc.yaml").read_text() == (REPOSITORY / "dvc.yaml").read_text()
    ours = [path for path in (REPOSITORY / "data/raw").rglob("*") if path.is_file()]
    assert len(ours) > 20
    for path in ours:
        assert (new / path.relative_to(REPOSITORY)).read_bytes() == path.read_bytes()


def test_git_and_dvc_are_at_work_in_it_and_ignore_what_is_made(new: Path) -> None:
    assert (new / ".dvc/config").read_text() == (REPOSITORY / ".dvc/config").read_text()
    for name in [".gitignore", ".dvcignore"]:
        assert (new / name).read_text() == (REPOSITORY / name).read_text()
    status = Project(new).run("dvc", "status", "ingest-primer").stdout
    assert "changed deps" in status
    listed = Project(new).run("git", "ls-files", "--others", "--cached", "--exclude-standard")
    assert {"params.yaml", "src/residency/graph.py", "rules/texts.smk"} <= set(
        listed.stdout.split()
    )
    assert "__pycache__" not in listed.stdout


def test_make_knows_how_to_build_it_and_nothing_of_tests_it_does_not_have(new: Path) -> None:
    def said(target: str) -> str:
        done = subprocess.run(["make", "-n", target], cwd=new, capture_output=True, text=True)
        return done.stdout + done.stderr

    assert "snakemake --cores all eval" in said("eval")
    assert "python -m residency.graph" in said("generate")
    for target in ("lint", "test", "test-all", "test-cluster", "test-recipes"):
        assert f"No rule to make target '{target}'" in said(target)
    readme = (new / "README.md").read_text()
    assert readme.startswith("# drakes\n")


def test_the_folder_one_is_in_becomes_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    done = typed(capsys, "init")
    assert done.status == 0
    assert done.out == f"made a project in {here}; to build it: make eval\n"
    assert (here / "params.yaml").is_file()
    assert not (here / init.PARTIAL).exists()
    done = typed(capsys, "init")
    assert done.status == 1
    assert "expected an empty folder, found '.dvc' and " in done.err


def test_a_folder_that_is_not_empty_and_a_file_are_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("mine")
    done = typed(capsys, "init", str(tmp_path))
    assert (done.status, "found 'note.txt'" in done.err) == (1, True)
    done = typed(capsys, "init", str(tmp_path / "note.txt"))
    assert (done.status, "is a file" in done.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir() if path.name != "work"] == ["note.txt"]


def test_an_init_that_was_killed_is_started_over(tmp_path: Path) -> None:
    folder = tmp_path / "again"
    (folder / init.PARTIAL / "src").mkdir(parents=True)
    init.laid_out(folder)
    assert (folder / "params.yaml").is_file()


def test_an_installation_without_the_default_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(graph, "CODE", tmp_path / "lib/python/residency")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    done = typed(capsys, "init", str(tmp_path / "new"))
    assert (done.status, "does not hold the default project" in done.err) == (1, True)
    assert not (tmp_path / "new").exists()


def test_a_wheel_holds_what_a_project_is_made_after() -> None:
    told = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    patterns = told["tool"]["setuptools"]["data-files"]
    shipped = {
        path.relative_to(REPOSITORY)
        for folder, globs in patterns.items()
        for glob in globs
        for path in REPOSITORY.glob(glob)
        if Path("share/residency") / path.parent.relative_to(REPOSITORY) == Path(folder)
    }
    wanted = {Path(name) for name in init.FILES}
    for folder in ["rules", "profiles", "docs", "recipes", "data/raw"]:
        found = [path for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
        assert found
        wanted.update(path.relative_to(REPOSITORY) for path in found)
    assert shipped == wanted


@pytest.mark.slow
def test_a_new_project_builds(tmp_path: Path) -> None:
    init.laid_out(tmp_path / "drakes")
    project = Project(tmp_path / "drakes")
    raw = project.root / "data/raw"
    for path in [*(raw / "primer").iterdir(), *(raw / "everyday").iterdir()]:
        if f"primer/{path.name}" not in [f"primer/{each}" for each in PRIMER] and (
            f"{path.parent.name}/{path.name}" != EVERYDAY
        ):
            path.unlink()
    tiny_model(raw / "tiny", (raw / "primer" / PRIMER[0]).read_text())
    shutil.rmtree(project.root / "docs")
    project.declare(tiny_params())
    project.snakemake("eval")
    assert (project.root / "build/report/report.html").is_file()
    assert project.settled()
