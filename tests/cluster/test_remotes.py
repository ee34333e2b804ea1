"""Pushing to and pulling from real servers, which break off and spoil what they were given."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project, copied, made_project
from servers import KINDS, Server, dying, missing


@pytest.fixture(autouse=True)
def idle() -> None:
    """No other cluster takes part."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with every artifact, and a raw file under DVC that takes a while to send."""
    project = made_project(tmp_path_factory.mktemp("whole") / "project")
    weights = project.root / "data/raw/tiny/model.safetensors"
    (project.root / "data/large").mkdir()
    (project.root / "data/large/random.bin").write_bytes(weights.read_bytes() * 20)
    project.run("dvc", "add", "data/large")
    project.commit("raw files under DVC")
    assert project.changed() == set()
    return project


@pytest.fixture(scope="module", params=sorted(KINDS))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each kind of server, at work."""
    if why := missing(request.param):
        pytest.skip(why)
    running = KINDS[request.param](tmp_path_factory.mktemp(request.param))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def ours(whole: Project, tmp_path: Path) -> Project:
    return copied(whole, tmp_path / "ours")


def joined(project: Project, server: Server) -> None:
    """Give a project the server as its default remote, in a commit."""
    server.add_to(project, server.port)
    project.commit("a remote")


def pushed(project: Project, *words: str, check: bool = True) -> str:
    """What `residency push` says, and that it went well."""
    done = project.run("python", "-m", "residency", "push", *words, check=False)
    assert (done.returncode == 0) == check, done.stdout
    return done.stdout


def cloned(project: Project, to: Path) -> Project:
    """A fresh clone whose user has the project's secrets."""
    project.run("git", "clone", "-q", ".", str(to))
    shutil.copy(project.root / ".dvc/config.local", to / ".dvc/config.local")
    return Project(to)


def on_remote(project: Project, change: str) -> str:
    """Change the documents of primer on the remote; where they are there."""
    code = f"""if True:
        from dvc.repo import Repo
        from dvc_data.hashfile.tree import Tree
        repo = Repo()
        remote = repo.cloud.get_remote_odb()
        (stage,) = [each for each in repo.index.stages if each.addressing == "ingest-primer"]
        tree = Tree.load(repo.cache.local, stage.outs[0].hash_info)
        path = remote.oid_to_path(tree.get(("documents.jsonl",))[1].value)
        {change}
        print(remote.fs.unstrip_protocol(path))
    """
    return project.run("python", "-c", code).stdout.splitlines()[-1]


def test_a_clone_of_a_pushed_project_pulls_and_computes_nothing(
    ours: Project, server: Server, tmp_path: Path
) -> None:
    raw = "data/raw/rounds.jsonl"
    ours.run("git", "rm", "-q", "--cached", raw)
    ours.run("dvc", "add", raw)
    joined(ours, server)
    assert "the rest was there" in pushed(ours)
    clone = cloned(ours, tmp_path / "clone")
    said = clone.snakemake("eval")
    assert "pulling 22 recorded artifacts" in said
    assert "Nothing to be done" in said
    assert not (clone.root / "logs").exists()
    assert clone.settled()
    assert clone.run("git", "status", "--short").stdout == ""
    assert (clone.root / "build/models/resident/checkpoints/50/model.safetensors").exists()
    runs = sorted(path.name for path in (ours.root / ".dvc/cache/runs").rglob("*"))
    assert runs == sorted(path.name for path in (clone.root / ".dvc/cache/runs").rglob("*"))
    assert pushed(ours).startswith("0 objects sent")


@pytest.mark.slow
def test_what_is_stale_in_a_clone_is_built_and_the_rest_is_pulled(
    ours: Project, server: Server, tmp_path: Path
) -> None:
    joined(ours, server)
    pushed(ours)
    clone = cloned(ours, tmp_path / "clone")
    clone.change("evaluations.ward.protocol.normalise", "none")
    dry = clone.snakemake("-n", "eval")
    assert "a build begins with pulling 18 recorded artifacts that are not here from shelf" in dry
    assert not (clone.root / "build").exists()
    stale = {"evaluate-ward-smollm2", "evaluate-ward-resident", "report"}
    assert clone.stages_of(clone.snakemake("eval")) == stale
    assert {name for name in clone.logs() if "Running stage" in clone.log(name)} == {
        "evaluate/ward-smollm2",
        "evaluate/ward-resident",
        "report",
    }


@pytest.mark.slow
def test_a_server_killed_in_mid_push_is_told_in_a_line_and_the_same_command_sends_the_rest(
    ours: Project, server: Server, tmp_path: Path
) -> None:
    on = copied(ours, tmp_path / "elsewhere")
    (on.root / "data/large/random.bin").chmod(0o644)
    (on.root / "data/large/random.bin").write_bytes(server.folder.name.encode() * 2_000_000)
    on.run("dvc", "add", "data/large")
    try:
        with dying(server, after=3_000_000) as port:
            server.add_to(on, port)
            failed = pushed(on, check=False)
    finally:
        server.start()
    (line,) = [line for line in failed.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: shelf broke off: ")
    assert "not sent whole: " in line
    assert "data/large.dvc" in line
    assert line.endswith("the same command sends the rest")
    assert "Traceback" not in failed
    joined(on, server)
    pushed(on)
    clone = cloned(on, tmp_path / "clone")
    assert "Nothing to be done" in clone.snakemake("eval")
    assert clone.settled()


@pytest.mark.slow
def test_a_spoilt_object_is_named_and_sent_anew(
    ours: Project, server: Server, tmp_path: Path
) -> None:
    joined(ours, server)
    pushed(ours)
    place = on_remote(ours, "remote.fs.pipe_file(path, b'x' * remote.fs.info(path)['size'])")
    clone = cloned(ours, tmp_path / "clone")
    said = clone.run("snakemake", "--cores", "2", "eval", check=False)
    assert said.returncode == 1
    assert (
        f"ingest-primer: {place} is not what was pushed; where it was built, residency push "
        "ingest-primer sends it anew; or to build it here: RESIDENCY_PULL=no"
    ) in said.stdout
    assert "Traceback" not in said.stdout
    assert (clone.root / "build/models/resident").exists(), "the rest is there"
    assert not (clone.root / "build/documents/primer").exists()
    assert "Nothing to be done" in clone.snakemake("build/documents/everyday")
    pushed(ours, "ingest-primer")
    assert "Nothing to be done" in clone.snakemake("eval")
    assert clone.settled()


@pytest.mark.slow
def test_what_was_never_pushed_is_built(ours: Project, server: Server, tmp_path: Path) -> None:
    joined(ours, server)
    pushed(ours)
    on_remote(ours, "remote.fs.rm(path)")
    clone = cloned(ours, tmp_path / "clone")
    said = clone.snakemake("eval")
    assert "ingest-primer is not on shelf, or not all of it: it is built here" in said
    assert [name for name in clone.logs() if "Running stage" in clone.log(name)] == [
        "ingest/primer"
    ]
    assert clone.settled()
    pushed(ours)
    again = cloned(ours, tmp_path / "again")
    assert "Nothing to be done" in again.snakemake("eval")


@pytest.mark.slow
def test_a_remote_out_of_reach_stops_only_what_needs_it(
    ours: Project, server: Server, tmp_path: Path
) -> None:
    joined(ours, server)
    pushed(ours)
    clone = cloned(ours, tmp_path / "clone")
    clone.run("dvc", "pull", "build/documents/everyday")
    server.kill()
    try:
        assert "Nothing to be done" in ours.snakemake("eval")
        said = clone.snakemake("build/documents/everyday")
        assert "warning: shelf (" in said
        assert "cannot be reached: " in said
        assert "Nothing to be done" in said
        stopped = clone.run("snakemake", "--cores", "2", "eval", check=False)
        assert stopped.returncode == 1
        assert "or to build here what it has: RESIDENCY_PULL=no" in stopped.stdout
        assert "Traceback" not in stopped.stdout
        failed = pushed(clone, check=False)
        assert failed.startswith("error: shelf (")
    finally:
        server.start()
    assert "Nothing to be done" in clone.snakemake("eval")
