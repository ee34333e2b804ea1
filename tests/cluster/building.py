"""`snakemake --profile profiles/slurm eval`, started in a project and watched."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from project import Project, environment

HASTE = {"slurm-init-seconds-before-status-checks": "2", "cores": "2", "max-threads": "2"}


@dataclass
class Build:
    """`snakemake --profile profiles/slurm eval` at work."""

    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        """What it said so far."""
        return self.output.read_text()

    def jobs(self) -> list[str]:
        """The SLURM jobs it submitted."""
        return re.findall(r"has been submitted with SLURM jobid (\d+)", self.said())

    def rules(self) -> list[str]:
        """The rules of those, in order, with their names."""
        return re.findall(r"SLURM jobid \d+ \(log: \S+/rule_(\S+)/\d+\.log\)", self.said())

    def until(self, true: Callable[[], object], what: str, seconds: float = 240) -> None:
        """Wait for something to happen while it is at work."""
        end = time.monotonic() + seconds
        while not true():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said()}"
            assert time.monotonic() < end, f"{what}: not in {seconds} s\n{self.said()}"
            time.sleep(0.1)

    def ended(self, seconds: float = 480) -> str:
        """What it said, when it has ended well."""
        assert self.process.wait(seconds) == 0, self.said()
        return self.said()


@dataclass(frozen=True)
class Clustered(Project):
    """A project that is built on the cluster."""

    def build(self, *options: str, **variables: str) -> Build:
        """Start the ordinary command, with less patience than a real cluster needs."""
        hasty = [word for name, value in HASTE.items() for word in (f"--{name}", value)]
        command = ["snakemake", "eval", "--profile", "profiles/slurm", *hasty, *options]
        output = self.root.parent / f"said-{time.monotonic_ns()}.log"
        with output.open("wb") as said_to:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env={**environment(), **variables},
                stdout=said_to,
                stderr=subprocess.STDOUT,
            )
        return Build(process, output)

    def copied(self, to: Path) -> Clustered:
        """A copy with times kept, so that nothing has to be hashed again."""
        shutil.copytree(self.root, to, symlinks=True)
        return Clustered(to)

    def outs(self) -> dict[str, str]:
        """The hash of each artifact that is recorded."""
        return {name: stage["outs"][0]["md5"] for name, stage in self.recorded().items()}

    def at(self, name: str, words: str) -> bool:
        """Whether the log of a job has these words by now."""
        log = self.root / f"logs/{name}.log"
        return log.exists() and words in log.read_text()
