"""Cleaning in one piece beside cleaning whose shards jobs of their own sifted.

    python benchmarks/share.py FOLDER

The 100 MB of benchmarks/clean.py with every published rule, page furniture and near-duplicates; one
job beside four, whose parts run one after the other here. What the last job still does bounds what
more nodes can gain (Amdahl's law).
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import sys
from pathlib import Path

from clean import WORKERS, corpus, grown, measured, ours, size

PARTS = 4
SHARE = """
import sys
from pathlib import Path
import orjson
from residency.clean import Corpus, share
from residency.files import building
corpus, folder, phase, part, of, out = sys.argv[1:]
mine = lambda number: number % int(of) == int(part)
with building(Path(out)) as partial:
    share(Corpus.model_validate(orjson.loads(corpus)), [Path(folder)], [], phase, mine, partial)
"""


def main() -> None:
    """Clean both ways, compare every file, print Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    root = parser.parse_args().folder
    english = grown(root, "100", 100, 9)
    declared = corpus(boilerplate={"documents": 20, "max_words": 20})
    whole, took = ours("whole", [english], root, declared)
    shares = root / f"shares/{PARTS}"
    shutil.rmtree(shares, ignore_errors=True)
    os.environ["RESIDENCY_SHARES"] = str(shares)
    parts = []
    for phase in ("furniture", "sift"):
        for part in range(PARTS):
            out = shares / phase / str(part)
            words = [declared, str(english), phase, str(part), str(PARTS), str(out)]
            parts.append(measured([sys.executable, "-c", SHARE, *words], root / "share.log"))
    put_together, last = ours("shared", [english], root, declared)
    names = sorted(path.name for path in whole.iterdir())
    same, *_ = filecmp.cmpfiles(whole, put_together, names, shallow=False)
    print(f"{size([english]):.0f} MB, {WORKERS} processes; same: {len(same)} of {len(names)} files")
    print("| | CPU, s | wall, s |\n|---|---|---|")
    print(f"| in one piece | {took['cpu']:.0f} | {took['wall']:.0f} |")
    for number, phase in enumerate(("furniture", "sift")):
        mine = parts[number * PARTS : (number + 1) * PARTS]
        most = {key: max(each[key] for each in mine) for key in ("cpu", "wall")}
        print(f"| {phase}, the longest of {PARTS} jobs | {most['cpu']:.0f} | {most['wall']:.0f} |")
    print(f"| what clean still does | {last['cpu']:.0f} | {last['wall']:.0f} |")


if __name__ == "__main__":
    main()
