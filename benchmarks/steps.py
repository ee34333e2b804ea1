"""What each job of the last `make eval` took: a Markdown table of benchmarks/runs.

python benchmarks/steps.py
"""

from __future__ import annotations

import csv
from pathlib import Path


def main() -> None:
    """Print one row for each job, longest first, and the totals."""
    rows = []
    for path in sorted(Path("benchmarks/runs").rglob("*.tsv")):
        with path.open(newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        name = path.relative_to("benchmarks/runs").with_suffix("").as_posix()
        rows.append((float(row["s"]), float(row["max_rss"]), name))
    print("| job | s | peak memory, MB |\n|---|---|---|")
    for seconds, memory, name in sorted(rows, reverse=True):
        print(f"| {name} | {seconds:.0f} | {memory:.0f} |")
    print(f"| all, one after the other | {sum(row[0] for row in rows):.0f} | |")


if __name__ == "__main__":
    main()
