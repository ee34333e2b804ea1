"""job: what a rule does on a node of a cluster: build one stage, and alone.

    python -m residency.job train-resident

A job may outlive what its cluster knows of it: when a node's daemon dies, SLURM gives the job up
and Snakemake submits it again, yet its processes go on. So each job holds its stage's lock, which
on a shared file system holds between nodes, and a second one waits.
"""

from __future__ import annotations

import fcntl
import os
import sys
from typing import IO

from residency.freshness import STATE, forget, locked
from residency.step import complaints

_held: list[IO[str]] = []


def main() -> None:
    """Become `dvc repro` of one stage as soon as no other job builds it."""
    stage = sys.argv[1]
    with complaints():
        alone(stage)
        forget(stage)
    os.execvp("dvc", ["dvc", "--wait-for-lock", "repro", "--single-item", stage])


def alone(what: str) -> None:
    """Wait until no other job builds this, for as long as this process and what it becomes live."""
    (STATE / "jobs").mkdir(parents=True, exist_ok=True)
    lock = (STATE / "jobs" / what).open("a")
    if not locked(lock):
        print(f"waiting for an earlier job that still builds {what}", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock.fileno(), True)
    _held.append(lock)


if __name__ == "__main__":
    main()
