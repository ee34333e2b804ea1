"""Real books and exams by one declaration: what is kept, what is dropped and why, and the time.

PYTHONPATH=src:tests python benchmarks/real.py ../shared/data
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

from project import real_project
from test_real import texts

from residency.files import read_json


def main() -> None:
    """Build tests/real.yaml on the folder given, and print one row for each artifact."""
    with tempfile.TemporaryDirectory() as folder:
        project = real_project(Path(folder) / "project", Path(sys.argv[1]))
        project.snakemake(*texts(project))
        print("| stage | kept | dropped, by reason | s |\n|---|---|---|---|")
        for name, stage in project.stages().items():
            counts = project.root / stage["outs"][0] / "counts.json"
            step, _, thing = name.partition("-")
            run = project.root / f"benchmarks/runs/{step}/{thing}.tsv"
            if run.exists():
                found = read_json(counts)
                kept = ", ".join(f"{n:,} {what}" for what, n in found["kept"].items() if n)
                why = sorted(found["rejected"].items(), key=lambda each: -each[1])
                dropped = ", ".join(f"{n:,} {reason}" for reason, n in why)
                with run.open(newline="") as file:
                    seconds = float(next(csv.DictReader(file, delimiter="\t"))["s"])
                print(f"| {name} | {kept} | {dropped} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
