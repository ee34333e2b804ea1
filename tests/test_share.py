from __future__ import annotations

from pathlib import Path

import pytest
from project import Project

from residency import declaration, graph, share
from residency.files import read_json

TARGETS = ("build/corpora/everyday", "--config", "share=3000")


@pytest.fixture
def stale(mine: Project) -> Project:
    """A source is to be read anew, and a corpus to be cleaned."""
    mine.change("sources.everyday.parts", ["prose", "glossary"])
    return mine


def test_jobs_share_what_is_much_while_it_is_stale(stale: Project, work: Path) -> None:
    stale.snakemake(*TARGETS)
    parts = {log for log in stale.logs() if log.startswith("share/")}
    assert parts == {
        f"share/{stage}/{phase}-{part}-of-2"
        for stage, phase in [
            ("ingest-everyday", "read"),
            ("clean-everyday", "furniture"),
            ("clean-everyday", "sift"),
        ]
        for part in (0, 1)
    }
    assert not list((work / "shares").iterdir())
    assert "Nothing to be done" in stale.snakemake("-n", *TARGETS)


def test_a_part_that_was_done_is_not_done_again_unless_its_inputs_changed(
    stale: Project, work: Path
) -> None:
    known = work / "shares/ingest-everyday/2/read/1/identity"
    command = ("python", "-m", "residency.share", "ingest-everyday", "read", "1", "2")
    stale.run(*command)
    first = known.stat().st_mtime_ns
    stale.run(*command)
    assert known.stat().st_mtime_ns == first
    stale.change("sources.everyday.language", "en-GB")
    stale.run(*command)
    assert known.stat().st_mtime_ns > first


KILLED_ONCE = """
    import os
    if not Path("killed-once").exists():
        Path("killed-once").touch()
        os.kill(os.getpid(), 9)
"""


def test_a_file_whose_reader_was_killed_in_a_job_is_read_by_the_stage_itself(
    stale: Project, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = stale.root / "src/residency/ingest.py"
    code.write_text(
        code.read_text().replace("    raw = task.raw\n", f"{KILLED_ONCE}    raw = task.raw\n", 1)
    )
    stale.run("python", "-m", "residency.share", "ingest-everyday", "read", "0", "1")
    assert (stale.root / "killed-once").exists()
    share_of_it = work / "shares/ingest-everyday/1"
    assert [each.name for each in (share_of_it / "read/0").iterdir()] == ["identity"]
    monkeypatch.setenv("RESIDENCY_SHARES", str(share_of_it))
    stale.run("dvc", "repro", "--single-item", "ingest-everyday")
    counts = read_json(stale.root / "build/documents/everyday/counts.json")
    assert counts["kept"]["files"] == 1
    assert counts["rejected"] == {}


def test_nothing_is_shared_that_dvc_has_kept(mine: Project, work: Path) -> None:
    part = work / "shares/ingest-everyday/2/read/0"
    part.mkdir(parents=True)
    (part / "identity").write_text("of other inputs")
    mine.run("python", "-m", "residency.share", "ingest-everyday", "read", "0", "2")
    assert not part.exists()


def test_only_ingest_and_clean_of_more_than_a_share_are_shared(mine: Project) -> None:
    declared = declaration.load(mine.root / "params.yaml")
    stages = list(graph.stages(declared))
    size = sum(path.stat().st_size for path in (mine.root / "data/raw/primer").iterdir())
    parts = {each.name: share.parts(each, stages, size - 1) for each in stages}
    assert {name for name, of in parts.items() if of > 1} == {"ingest-primer", "clean-textbook"}
    assert share.parts(stages[0], stages, size) == 1


@pytest.mark.parametrize("value", ["much", "-5", "1.5"])
def test_a_share_that_is_no_number_is_refused(mine: Project, value: str) -> None:
    said = mine.run("snakemake", "-n", "eval", "--config", f"share={value}", check=False)
    assert said.returncode == 1
    assert "config: share is a whole number" in said.stdout
    assert "Traceback" not in said.stdout
