"""job: what a rule does on a node of a cluster: build one stage, and alone.

    python -m residency.job train-resident

A job may outlive what its cluster knows of it: when a node's daemon dies, SLURM gives the job up
and Snakemake submits it again, yet its processes go on. So each job holds its stage's lock, which
on a shared file system holds between nodes, and a second one waits.

Snakemake tries a job that failed as often as the profile says. One whose step ended in a Complaint
would end in it again; it leaves that where Snakemake's main process finds it.
"""

from __future__ import annotations

import fcntl
import os
import sys
from typing import IO, Any

from residency.freshness import STATE, forget, locked
from residency.step import complaints

COMPLAINTS = STATE / "complaints"

_held: list[IO[str]] = []


def main() -> None:
    """Become `dvc repro` of one stage as soon as no other job builds it."""
    stage = sys.argv[1]
    with complaints():
        alone(stage)
        forget(stage)
    os.execvp("dvc", ["dvc", "--wait-for-lock", "repro", "--single-item", stage])


def alone(what: str) -> None:
    """Wait until no other job does this, for as long as this process and what it becomes live.

    A Complaint of either is noted under that name.
    """
    for folder in (STATE / "jobs", COMPLAINTS):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ["RESIDENCY_COMPLAINT"] = str((COMPLAINTS / what).absolute())
    lock = (STATE / "jobs" / what).open("a")
    if not locked(lock):
        print(f"waiting for an earlier job that still builds {what}", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock.fileno(), True)
    _held.append(lock)


def heed_complaints() -> None:
    """In Snakemake's main process: try no job again whose step left a Complaint."""
    from snakemake.jobs import Job

    COMPLAINTS.mkdir(parents=True, exist_ok=True)
    for note in COMPLAINTS.iterdir():
        note.unlink(missing_ok=True)
    times = Job.restart_times.fget

    def restart_times(self: Any) -> int:
        stage = "-".join([self.rule.name, *self.wildcards])
        try:
            told = (COMPLAINTS / stage).read_text()
        except FileNotFoundError:
            return int(times(self))
        print(f"{stage} is not tried again: {told}", file=sys.stderr)
        return 0

    Job.restart_times = property(restart_times)


if __name__ == "__main__":
    main()
