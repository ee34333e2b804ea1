"""TRL's side of benchmarks/pack.py; runs in an environment of its own.

    pip install trl==1.16.0
    python benchmarks/pack_trl.py LENGTH < LENGTHS.json

Prints, for each of its packings, the blocks, tokens in them, documents that lost or were cut.
"""

from __future__ import annotations

import json
import sys
import time

from datasets import Dataset
from trl import pack_dataset


def main() -> None:
    """Pack the lengths that are given on the standard input."""
    length, sizes = int(sys.argv[1]), json.load(sys.stdin)
    rows = []
    for strategy in ["bfd", "bfd_split", "wrapped"]:
        dataset = Dataset.from_dict({"input_ids": [[number] * n for number, n in enumerate(sizes)]})
        began = time.perf_counter()
        packed = pack_dataset(dataset, length, strategy)
        seconds = time.perf_counter() - began
        blocks = packed["input_ids"]
        where: dict[int, int] = {}
        for block in blocks:
            for document in set(block):
                where[document] = where.get(document, 0) + 1
        kept = sum(map(len, blocks))
        short = sum(size > length for size in sizes) if strategy == "bfd" else 0
        row = {"way": f"TRL {strategy}", "blocks": len(blocks), "seconds": round(seconds, 3)}
        cut = short + sum(times > 1 for times in where.values())
        rows.append(row | {"tokens": kept, "kept": kept, "cut": cut})
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
