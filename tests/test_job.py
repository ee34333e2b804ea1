from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from project import REPOSITORY


def started(folder: Path, stage: str) -> subprocess.Popen[str]:
    """A job in a folder whose DVC only tells what it is called with."""
    return subprocess.Popen(
        [sys.executable, "-m", "residency.job", stage],
        cwd=folder,
        env=with_stand_in(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def with_stand_in(folder: Path) -> dict[str, str]:
    """This environment, with the folder's own DVC first."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY / "src")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository of DVC's."""
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dvc").write_text('#!/bin/sh\necho "dvc $*"\n')
    (tmp_path / "bin/dvc").chmod(0o755)
    return tmp_path


def test_a_job_forgets_earlier_ones_of_its_stage_and_no_others(folder: Path) -> None:
    alive = {"pid": os.getpid(), "cmd": "dvc --wait-for-lock repro --single-item train-b"}
    dead = alive | {"cmd": "/bin/dvc --wait-for-lock repro --single-item train-a"}
    listed = {"read": {"x": [alive, dead], "y": [dead]}, "write": {"a": dead, "b": alive}}
    (folder / ".dvc/tmp/rwlock").write_text(json.dumps(listed))
    said, _ = started(folder, "train-a").communicate(timeout=60)
    assert said == "dvc --wait-for-lock repro --single-item train-a\n"
    left = json.loads((folder / ".dvc/tmp/rwlock").read_text())
    assert left == {"read": {"x": [alive], "y": []}, "write": {"b": alive}}


def test_a_job_waits_for_one_that_still_builds_its_stage(folder: Path) -> None:
    (folder / ".snakemake/jobs").mkdir(parents=True)
    with (folder / ".snakemake/jobs/train-a").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        job = started(folder, "train-a")
        assert job.stdout
        assert job.stdout.readline() == "waiting for an earlier job that still builds train-a\n"
        time.sleep(0.3)
        assert job.poll() is None
    assert job.communicate(timeout=60)[0].startswith("dvc ")


def test_a_job_whose_step_complained_is_tried_again_only_for_a_setback(folder: Path) -> None:
    (folder / "bin/dvc").write_text(f"#!/bin/sh\necho once >> $4.tries\n{sys.executable} $4.py\n")
    jobs = {"train-own": "Complaint", "train-memory": "Setback", "evaluate-finals-own": "Complaint"}
    for name, error in jobs.items():
        (folder / f"{name}.py").write_text(
            f"from residency.section import {error}\n"
            "from residency.step import complaints\n"
            f"with complaints():\n    raise {error}('{name}: too little')\n"
        )
    (folder / "Snakefile").write_text(
        "from residency.job import heed_complaints\n"
        "heed_complaints()\n"
        "rule all:\n    input: 'models/own', 'models/memory', 'scores/finals/own'\n"
        "rule train:\n    output: 'models/{model}'\n"
        f"    shell: '{sys.executable} -m residency.job train-{{wildcards.model}}'\n"
        "rule evaluate:\n    output: 'scores/{evaluation}/{model}'\n"
        f"    shell: '{sys.executable} -m residency.job"
        " evaluate-{wildcards.evaluation}-{wildcards.model}'\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores=2", "--retries=1", "--keep-going"],
        cwd=folder,
        env=with_stand_in(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    tries = {path.stem: path.read_text().count("once") for path in folder.glob("*.tries")}
    assert tries == {"train-own": 1, "train-memory": 2, "evaluate-finals-own": 1}
    told = {line for line in done.stderr.splitlines() if "not tried again" in line}
    assert told == {
        f"{name} is not tried again: {name}: too little"
        for name in ("train-own", "evaluate-finals-own")
    }
