"""What takes several nodes at once: a training, and DVC on the file system they share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from building import Clustered
from project import REPOSITORY, environment
from slurm import Slurm, said

from residency.files import read_rows

pytestmark = pytest.mark.slow


def losses(project: Clustered) -> list[float]:
    """The training loss after each step."""
    return [row["loss"] for row in read_rows(project.root / "build/models/reader/log.jsonl")]


def test_a_training_on_two_nodes_learns_what_one_process_does(
    mine: Clustered, tmp_path: Path
) -> None:
    params = mine.params()
    params["models"]["reader"]["train"].update(steps=20, batch_tokens=512)
    mine.declare(params)
    alone = mine.copied(tmp_path / "alone")
    build = mine.build("--config", "nodes=2", "orphans=wait")
    build.ended()
    (job,) = build.jobs()
    steps = said("sacct", "-j", job, "-n", "-P", "-o", "JobID,NNodes,NTasks").split()
    assert f"{job}.0|2|2" in steps
    assert mine.settled()
    alone.run("dvc", "repro", "train-reader")
    assert len(losses(alone)) == 20
    assert losses(mine) == pytest.approx(losses(alone), abs=1e-3)


def test_fifty_stages_that_end_at_once_are_all_recorded(tmp_path: Path, slurm: Slurm) -> None:
    del slurm
    stages = "".join(
        f"  s{n}:\n    cmd: sleep 1 && echo {n} > out{n}\n    outs: [out{n}]\n" for n in range(50)
    )
    (tmp_path / "dvc.yaml").write_text(f"stages:\n{stages}")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    each = f"exec {sys.executable} -m residency.job s$SLURM_PROCID"
    done = subprocess.run(
        ["srun", "--nodes=3", "--ntasks=50", "--overcommit", "--mem=0", "sh", "-c", each],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    status = subprocess.run(
        ["dvc", "status"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert "Data and pipelines are up to date" in status.stdout
    assert [int((tmp_path / f"out{n}").read_text()) for n in range(50)] == list(range(50))
