from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import REPOSITORY, Project, laid_out, tiny_params, typed
from ruamel.yaml import YAML
from test_report import build, ledger, sit, written

from residency.diff import Change, Changes, Side, _pairs, differing, section, told

METRICS = ("metrics", "differences", "counts")
STAGES = {
    "report": "build/report",
    "clean-textbooks": "build/corpora/textbooks",
    "evaluate-finals-base": "build/evaluations/finals/base",
    "evaluate-finals-resident": "build/evaluations/finals/resident",
}


def recorded(project: Project, skill: float, dropped: int, epochs: int) -> None:
    """Another revision: one parameter, one count and one model's answers are what differs."""
    shutil.rmtree(project.root / "build", ignore_errors=True)
    inputs = build(project.root / "build")
    for place in ("corpora/textbooks", "evaluations/finals/resident"):
        shutil.rmtree(project.root / "build" / place)
    sit(project.root / "build/evaluations/finals/resident", 400, skill)
    ledger(
        project.root / "build/corpora/textbooks", {"documents": 226}, {"in exam": dropped}, "text"
    )
    written(project.root / "build", **inputs)
    params = tiny_params()
    params["models"]["resident"]["train"]["epochs"] = epochs
    YAML().dump(params, project.root / "params.yaml")
    report = "build/report"
    stages = {name: {"cmd": "false", "outs": [out]} for name, out in STAGES.items()}
    YAML().dump(
        {"stages": stages, "metrics": [f"{report}/{name}.json" for name in METRICS]},
        project.root / "dvc.yaml",
    )
    project.run("dvc", "commit", "--force", "--quiet")
    project.commit(f"{skill}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two revisions whose artifacts were made by hand."""
    project = laid_out(tmp_path_factory.mktemp("diff") / "project")
    (project.root / "data/raw").mkdir(parents=True)
    for name in ("primer", "everyday", "tiny"):
        (project.root / "data/raw" / name).mkdir()
        (project.root / "data/raw" / name / "text.md").write_text("text")
    for name in ("boards.csv", "rounds.jsonl"):
        (project.root / "data/raw" / name).write_text("")
    recorded(project, 0.4, 3, 1)
    recorded(project, 0.9, 5, 2)
    return project


def said(project: Project, *arguments: str) -> str:
    return project.run(sys.executable, "-m", "residency", "diff", *arguments, check=False).stdout


def test_parameters_counts_and_scores_of_two_revisions_are_told(project: Project) -> None:
    out = said(project, "HEAD~1", "--page", "compared.html")
    assert "models.resident.train.epochs: 1 → 2" in out
    assert "evaluate-finals-resident: other content" in out
    assert "evaluate-finals-base" not in out
    assert "corpora/textbooks.rejected.in exam: 3 → 5" in out
    assert "finals: resident: +" in out
    assert "after Holm: beyond chance" in out
    assert "Not compared" not in out
    page = (project.root / "compared.html").read_text()
    assert page.count('id="compared"') == 1
    assert "models.resident.train.epochs" in page


def test_the_same_scores_stand_in_dvc_metrics(project: Project) -> None:
    out = said(project, "HEAD~1")
    done = project.run("dvc", "metrics", "diff", "--json", "HEAD~1")
    changed = json.loads(done.stdout)["build/report/metrics.json"]
    assert "finals.resident.accuracy" in changed
    for place, each in changed.items():
        assert f"{place}: {each['old']:.6g} → {each['new']:.6g}" in out
    assert out.count("finals.") == len(changed)
    others = json.loads(done.stdout)
    assert others["build/report/counts.json"]["corpora.textbooks.dropped"]["new"] == 5
    assert "finals.resident.base.points" in others["build/report/differences.json"]


def test_a_broken_file_is_one_message_whichever_side_it_is_on(project: Project) -> None:
    params = project.root / "params.yaml"
    whole = params.read_text()
    project.run("git", "checkout", "-q", "-b", "broken")
    try:
        for content, why in (("models: [", "while parsing"), ("- a", "found list")):
            params.write_text(content)
            out = said(project, "HEAD")
            assert out.startswith("error: params.yaml cannot be read (")
            assert why in out
            assert out.count("\n") == 1
        project.commit("broken")
    finally:
        project.run("git", "checkout", "-q", "-f", "-")
    assert params.read_text() == whole
    out = said(project, "broken")
    assert out.startswith("error: 'broken' cannot be read: ")
    assert "expected a dictionary, got 'list' in file 'params.yaml'" in out
    assert out.count("\n") == 1


def test_answers_in_an_older_layout_are_not_paired_and_that_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    now, path = Side(None, []), "build/evaluations/finals/resident/predictions.jsonl"
    for content in (b'{"id": "q0"}\n', b'{"question": "q0"}\n', b"[1]\n", b"\xff\n"):
        found, then = Changes(revision="v1"), Side(None, [])
        monkeypatch.setattr(then, "read", lambda _path, told=content: told)
        monkeypatch.setattr(then, "json", now.json)
        assert _pairs(then, now, found) == []
        assert f"finals, resident: {path} of v1 or here has another layout; not paired" in (
            found.missing
        )
    monkeypatch.setattr(then, "json", lambda _path: {"finals": 0.5})
    assert _pairs(then, now, Changes(revision="v1")) == []


def test_the_revision_that_is_here_differs_in_nothing(project: Project) -> None:
    assert said(project, "HEAD") == "Nothing differs from HEAD.\n"


def test_an_unknown_revision_is_refused_by_name(project: Project) -> None:
    out = said(project, "HAED")
    assert out.startswith("error: git knows no revision 'HAED'")
    assert "Traceback" not in out


def test_what_the_cache_does_not_hold_is_said_to_be_missing(
    project: Project, tmp_path: Path
) -> None:
    clone = Project(tmp_path / "clone")
    subprocess.run(["git", "clone", "-q", project.root, clone.root], check=True)
    out = said(clone, "HEAD~1")
    assert "models.resident.train.epochs: 1 → 2" in out
    assert "build/report/metrics.json of HEAD~1 is not in DVC's cache here" in out
    assert "; dvc fetch --all-commits" in out
    assert "Traceback" not in out


def test_leaves_are_compared_and_lists_are_values() -> None:
    old = {"a": 1, "b": {"c": [1, 2], "gone": None, "x": 0}, "d": {"e": 1}}
    new = {"a": 1, "b": {"c": [2, 1], "x": 0.5}, "d": None, "f": "new"}
    assert [*differing(old, new)] == [
        Change("b.c", [1, 2], [2, 1]),
        Change("b.x", 0, 0.5),
        Change("d.e", 1, None),
        Change("f", None, "new"),
    ]


def test_a_section_escapes_what_was_declared_and_tells_what_is_missing() -> None:
    evil = "<script>alert(1)</script>"
    found = Changes(revision=evil, parameters=[Change(evil, evil, 1.5)], missing=[evil])
    assert "<script" not in section(found)
    assert section(found).count("&lt;script&gt;") == 4
    assert told(found).count(evil) == 3


def test_nothing_is_one_line() -> None:
    assert told(Changes(revision="v1")) == "Nothing differs from v1.\n"
    assert "Nothing differs." in section(Changes(revision="v1"))


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "residency", "diff", "HEAD"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not a git repository" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_page_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("residency.diff.changes", lambda revision: Changes(revision=revision))
    monkeypatch.setattr("residency.diff.page", lambda _found: "<html>")
    for place in (tmp_path / "nowhere/page.html", Path()):
        done = typed(capsys, "diff", "HEAD", "--page", str(place))
        assert (done.status, f"{place}: cannot be written" in done.err) == (1, True)
