"""What the tools themselves cost when there is nothing to do, in a project that is built.

    python benchmarks/overhead.py

Each command is timed three times, the best and the worst are printed. `python -c pass` stands
beside them to show how fast the machine is.
"""

from __future__ import annotations

import subprocess
import sys
import time

COMMANDS = [
    "python -c pass",
    "dvc status",
    "snakemake -n eval",
    "make eval",
    "dvc --wait-for-lock repro --single-item clean-textbook",
    "dvc --wait-for-lock repro --single-item train-resident",
    "dvc --wait-for-lock repro --single-item report",
    "python -c 'import residency.declaration, residency.graph'",
]


def main() -> None:
    """Time every command and print a Markdown table."""
    print("| command | best of 3, s | worst, s |\n|---|---|---|")
    for command in COMMANDS:
        times = []
        for _ in range(3):
            began = time.perf_counter()
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            times.append(time.perf_counter() - began)
            if done.returncode:
                sys.exit(f"{command} failed:\n{done.stdout}{done.stderr}")
        print(f"| `{command}` | {min(times):.2f} | {max(times):.2f} |", flush=True)


if __name__ == "__main__":
    main()
