"""The ordinary command on a real SLURM: what it builds, and what happens to it there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from building import Clustered

TRAINING = "train/reader", "Running stage 'train-reader'"


def test_what_is_built_on_several_nodes_is_what_is_built_here(
    small: Clustered, tmp_path: Path
) -> None:
    first = (small.root.parent / "first.log").read_text()
    submitted = re.findall(r"rule_(\w+)/\w+/\d+\.log", first)
    assert sorted(submitted) == ["clean", "ingest", "pack", "train"]
    assert small.changed() == set()
    here = small.copied(tmp_path / "here")
    for folder in ["build", ".dvc/cache"]:
        shutil.rmtree(here.root / folder)
    (here.root / "dvc.lock").unlink()
    here.snakemake("eval")
    assert here.outs() == small.outs()


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
