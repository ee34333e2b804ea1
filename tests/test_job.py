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
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "residency.job", stage],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


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
