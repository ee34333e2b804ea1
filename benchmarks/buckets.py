"""How full the bands of the duplicate stage get: a simulation for corpora too large to try.

    python benchmarks/buckets.py [DOCUMENTS]

Documents come in families whose sizes follow a power law (exponent 2.2, at most a thousandth of all
documents; three of four stand alone); two of a family are alike to a degree drawn from 0.3 to 1.
A band of a family member is that of its family's first with probability s ** rows. Printed: the
share of documents that share a band with another, the fullest band, the pairs that candidates()
proposes with and without its bound on leaders, and the bytes of keys.
"""

from __future__ import annotations

import sys

import numpy as np

from residency.duplicates import LEADERS

BANDS, ROWS = 20, 6


def main() -> None:
    """Simulate and print one table."""
    documents = int(float(sys.argv[1])) if len(sys.argv) > 1 else 2_000_000
    rng = np.random.default_rng(0)
    sizes = np.minimum(rng.pareto(1.2, documents // 8) + 2, documents / 1000).astype(np.int64)
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), documents // 4)]
    family = np.repeat(np.arange(len(sizes)), sizes)
    alike = rng.uniform(0.3, 1, len(sizes))[family]
    fullest = pairs = unbounded = 0
    touched = np.zeros(len(family), bool)
    for _ in range(BANDS):
        shared = rng.random(len(family)) < alike**ROWS
        count = np.bincount(family[shared], minlength=len(sizes))
        touched |= shared & (count[family] > 1)
        fullest = max(fullest, int(count.max()))
        unbounded += int((count * (count - 1) // 2).sum())
        few = np.minimum(count, LEADERS)
        pairs += int((few * (few - 1) // 2 + np.maximum(0, count - LEADERS) * LEADERS).sum())
    print(
        "| documents | share in a band with another | fullest band | pairs | without bound | GB |"
    )
    print("|---|---|---|---|---|---|")
    gigabytes = documents * BANDS * 16 / 1e9
    print(
        f"| {documents:,} | {touched.sum() / documents:.3f} | {fullest:,} | {pairs:,} | "
        f"{unbounded:,} | {gigabytes:.1f} |"
    )


if __name__ == "__main__":
    main()
