"""The ordinary command on a real SLURM: what it builds, and what happens to it there."""

from __future__ import annotations

import itertools
import re
import shutil
from pathlib import Path

import pytest
from building import Clustered
from project import tiny_project
from slurm import Slurm, said

TRAINING = "train/reader", "Running stage 'train-reader'"


def test_what_is_built_on_several_nodes_is_what_is_built_here(
    small: Clustered, tmp_path: Path
) -> None:
    first = (small.root.parent / "first.log").read_text()
    submitted = re.findall(r"rule_(\w+)/[^/]+/\d+\.log", first)
    assert sorted(submitted) == ["clean", "ingest", "pack", *["share"] * 4, "train"]
    assert small.changed() == set()
    here = small.copied(tmp_path / "here")
    for folder in ["build", ".dvc/cache"]:
        shutil.rmtree(here.root / folder)
    (here.root / "dvc.lock").unlink()
    here.snakemake("eval")
    assert here.outs() == small.outs()


@pytest.mark.slow
def test_the_whole_declaration_is_built_side_by_side_and_is_what_is_built_here(
    slurm: Slurm, tmp_path: Path
) -> None:
    del slurm
    project = Clustered(tiny_project(tmp_path / "project").root)
    here = project.copied(tmp_path / "here")
    build = project.build()
    build.ended(1200)
    told = said(
        *["sacct", "-X", "-n", "-P", "-j", ",".join(build.jobs()), "-o", "Start,End,NodeList"]
    )
    jobs = sorted(line.split("|") for line in told.splitlines())
    assert len(jobs) == len(build.jobs())
    assert len({node for _, _, node in jobs}) > 1
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(jobs))
    assert project.changed() == set()
    here.snakemake("eval")
    assert here.outs() == project.outs()


def test_a_build_that_was_killed_waits_for_its_jobs_and_goes_on(mine: Clustered) -> None:
    first = mine.build()
    first.until(lambda: mine.at(*TRAINING), "training")
    first.process.kill()
    first.process.wait()
    (job,) = first.jobs()
    second = mine.build()
    told = f"waiting for a job of an earlier run: train reader, running (SLURM job {job}"
    second.until(lambda: told in second.said(), "it waits")
    second.ended()
    assert second.jobs() == []
    assert mine.settled()
