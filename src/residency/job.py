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

from residency.freshness import STATE, forget, locked
from residency.step import complaints


def main() -> None:
    """Become `dvc repro` of one stage as soon as no other job builds it."""
    stage = sys.argv[1]
    (STATE / "jobs").mkdir(parents=True, exist_ok=True)
    lock = (STATE / "jobs" / stage).open("a")
    with complaints():
        if not locked(lock):
            print(f"waiting for an earlier job that still builds {stage}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        forget(stage)
    os.set_inheritable(lock.fileno(), True)
    os.execvp("dvc", ["dvc", "--wait-for-lock", "repro", "--single-item", stage])


if __name__ == "__main__":
    main()
