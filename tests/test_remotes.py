"""Pushing and pulling with a folder for a remote; tests/cluster has real servers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from project import Project, typed
from ruamel.yaml import YAML

from residency import freshness, remotes

PRIMER = "build/documents/primer"


def pulled(dry: bool = False) -> dict[str, str]:
    from dvc.repo import lock_repo

    with freshness.asked() as repo, lock_repo(repo):
        return remotes.pull(repo, dry)


@pytest.fixture
def shelf(mine: Project, tmp_path: Path) -> Path:
    """Where the project's remote is; nothing was pushed."""
    mine.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def documents(project: Project, among: Path) -> Path:
    """The object of primer's documents in a store."""
    lock = YAML(typ="safe").load(project.root / "dvc.lock")["stages"]["ingest-primer"]
    (listed,) = [each["md5"] for each in lock["outs"] if each["path"] == PRIMER]
    listing = project.root / ".dvc/cache/files/md5" / listed[:2] / listed[2:]
    (name,) = [
        each["md5"]
        for each in YAML(typ="safe").load(listing)
        if each["relpath"] == "documents.jsonl"
    ]
    path = among / "files/md5" / name[:2] / name[2:]
    path.chmod(0o644)
    return path


def lose(project: Project) -> None:
    """Be a clone in which nothing was pulled."""
    shutil.rmtree(project.root / "build")
    shutil.rmtree(project.root / ".dvc/cache")


def test_what_was_pushed_comes_back_whole(
    mine: Project, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = typed(capsys, "push")
    assert said.out.endswith("objects sent to shelf; the rest was there\n")
    lose(mine)
    assert pulled(dry=True) == {}
    assert "a build begins with pulling 20 recorded artifacts" in capsys.readouterr().err
    assert not (mine.root / "build").exists()
    assert pulled() == {}
    assert f"pulling 20 recorded artifacts that are not here from shelf ({shelf}" in (
        capsys.readouterr().err
    )
    assert freshness.changed() == set()
    assert list((mine.root / ".dvc/cache/runs").rglob("*"))
    assert typed(capsys, "push").out.startswith("0 objects sent")


@pytest.mark.slow
def test_what_a_broken_push_left_is_sent_again(
    mine: Project, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(capsys, "push")
    documents(mine, shelf).write_bytes(b'{"id": ')
    assert typed(capsys, "push").out.startswith("1 objects sent")
    documents(mine, shelf).unlink()
    assert typed(capsys, "push").out.startswith("1 objects sent")


@pytest.mark.slow
def test_a_spoilt_object_is_not_put_in_place_and_is_sent_anew_on_request(
    mine: Project, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(capsys, "push")
    spoilt = documents(mine, shelf)
    spoilt.write_bytes(b"x" * spoilt.stat().st_size)
    kept = mine.root.parent / "kept"
    shutil.copytree(mine.root, kept, symlinks=True)
    lose(mine)
    why = pulled()
    assert why.keys() == {"ingest-primer"}
    assert f"{spoilt} is not what was pushed" in why["ingest-primer"]
    assert "residency push ingest-primer sends it anew" in why["ingest-primer"]
    assert not (mine.root / PRIMER).exists()
    assert (mine.root / "build/models/resident").exists()
    assert Project(kept).run("python", "-m", "residency", "push", "ingest-primer").returncode == 0
    assert pulled() == {}
    assert freshness.changed() == set()


@pytest.mark.slow
def test_what_is_not_on_the_remote_is_left_to_be_built(
    mine: Project, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(capsys, "push")
    documents(mine, shelf).unlink()
    lose(mine)
    assert pulled() == {}
    assert "ingest-primer is not on shelf, or not all of it: it is built here" in (
        capsys.readouterr().err
    )
    assert "ingest-primer" in freshness.changed()


def test_what_changed_is_not_pulled(
    mine: Project, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(capsys, "push")
    assert shelf.exists()
    lose(mine)
    mine.change("report.resamples", 300)
    assert pulled() == {}
    assert freshness.changed() == {"report"}


def test_a_remote_out_of_reach_is_a_warning_and_a_reason_for_each_stage(
    mine: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.run("dvc", "remote", "add", "--default", "far", "ssh://127.0.0.1:9/nowhere")
    assert pulled() == {}, "nothing is missing, so nothing is asked"
    assert capsys.readouterr().err == ""
    lose(mine)
    why = pulled()
    assert "warning: far (ssh://127.0.0.1:9/nowhere) cannot be reached: " in capsys.readouterr().err
    assert len(why) == 20
    assert why["report"].endswith("or to build here what it has: RESIDENCY_PULL=no")
    assert "far (ssh://127.0.0.1:9/nowhere) cannot be reached" in typed(capsys, "push").err


def test_mistakes_are_named(
    mine: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no default remote; to name one: dvc remote add --default" in (
        typed(capsys, "push").err
    )
    mine.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    said = typed(capsys, "push", "ingest-prime")
    assert said.status == 1
    assert "there is no stage 'ingest-prime'; did you mean 'ingest-primer'?" in said.err
