"""The command line of a step, as DVC and a person use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from project import REPOSITORY, Project, environment, tiny_project

from residency import records


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return tiny_project(tmp_path_factory.mktemp("unbuilt") / "project")


def ran(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    return project.run("python", "-m", *words, check=False)


def test_a_step_builds_one_artifact_and_tells_beside_it_what_that_took(
    unbuilt: Project, work: Path
) -> None:
    done = ran(unbuilt, "residency.examine", "exams.boards", "build/exams/boards")
    assert done.returncode == 0, done.stdout
    assert (unbuilt.root / "build/exams/boards/test.jsonl").is_file()
    assert (work / "times/exams/boards.jsonl").read_bytes().count(b"\n") == 1


def test_a_step_that_asks_is_told_the_name_of_its_section(unbuilt: Project) -> None:
    done = ran(unbuilt, "residency.ingest", "sources.everyday", "build/documents/everyday")
    assert done.returncode == 0, done.stdout
    documents = list(records.documents(unbuilt.root / "build/documents/everyday"))
    assert {each.source for each in documents} == {"everyday"}


def test_a_place_that_is_not_declared_is_named(unbuilt: Project) -> None:
    done = ran(unbuilt, "residency.examine", "exams.bords", "build/exams/bords")
    assert done.returncode == 1
    assert "params.yaml has no exams.bords; did you mean 'boards'?" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (unbuilt.root / "build/exams/bords").exists()


def test_other_code_than_the_folders_own_is_refused(unbuilt: Project, tmp_path: Path) -> None:
    code = unbuilt.root / "src/residency/records.py"
    original = code.read_text()
    code.write_text(original + "\n# not what is installed\n")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "residency.examine", "exams.boards", str(tmp_path / "out")],
            cwd=unbuilt.root,
            env={**environment(), "PYTHONPATH": str(REPOSITORY / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        code.write_text(original)
    assert done.returncode == 1
    assert "records.py differs" in done.stderr


def test_the_threads_of_pytorch_sleep_where_they_wait() -> None:
    code = "from residency.step import prepare_cpu; prepare_cpu(); import torch"
    told = environment() | {"OMP_DISPLAY_ENV": "true"}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr, done.stderr
