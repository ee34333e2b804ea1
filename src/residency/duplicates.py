"""Near-duplicate documents: MinHash proposes pairs, exact Jaccard similarity decides.

    words ── n-grams ── bands x rows smallest hashes ── a key for each band ──> files sorted by key
    the same key twice ──> a pair ──> both texts read again ──> |A and B| / |A or B|

MinHash: Broder 1997; bands: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4. A pair
of similarity s is proposed with probability 1 - (1 - s ** rows) ** bands. Nothing here holds a
text or grows with the corpus but what is really repeated: keys lie on disk and are compared one
slice of their range after another.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from residency.section import Section, Seed, Share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from residency.tokens import Cut, Hashes

LEADERS = 16
"""A document is compared with so many earliest ones of each of its bands at most."""

_SLICE = 1 << 20
"""Keys to sort at a time."""


class NearDuplicates(Section):
    """Documents so similar to one kept before that they are dropped."""

    ngram: int = Field(ge=1, le=50, description="Words, or CJK characters, of an n-gram.")
    jaccard: Share = Field(description="Least similarity of two n-gram sets that is a duplicate.")
    bands: int = Field(ge=1, le=256, description="Bands of the signature.")
    rows: int = Field(ge=1, le=64, description="Hashes of a band.")
    seed: Seed = Field(description="Seed of the hash functions.")


def band_keys(near: NearDuplicates, cut: Cut) -> NDArray[np.uint64]:
    """Rows of (key, text) for each band of each text with at least one n-gram.

    h(x) = a x + b mod 2^32 over 32 bits of each n-gram's hash, a odd (Dietzfelbinger et al. 1997).
    """

    import numpy as np

    hashes, starts = cut.runs(near.ngram)
    owners = cut.owners()[starts]
    if not len(hashes):
        return np.zeros((0, 2), np.uint64)
    first = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
    shingles = (hashes >> np.uint64(32)).astype(np.uint32)
    random = np.random.default_rng(near.seed)
    factors = random.integers(0, 1 << 31, near.bands * near.rows, np.uint32) * np.uint32(
        2
    ) + np.uint32(1)
    offsets = random.integers(0, 1 << 32, near.bands * near.rows, np.uint32)
    hashed = np.empty_like(shingles)
    keys = np.zeros((near.bands, len(first)), np.uint64)
    for number, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
        np.multiply(shingles, factor, out=hashed)
        np.add(hashed, offset, out=hashed)
        band = keys[number // near.rows]
        band *= np.uint64(0x9E3779B97F4A7C15)
        band ^= band >> np.uint64(29)
        band += np.minimum.reduceat(hashed, first).astype(np.uint64) + np.uint64(number + 1)
    keys = keys * np.uint64(0xBF58476D1CE4E5B9)
    keys ^= keys >> np.uint64(32)
    texts = np.broadcast_to(owners[first].astype(np.uint64), keys.shape)
    return np.stack([keys.ravel(), texts.ravel()], axis=1)


def write_keys(path: Path, keys: NDArray[np.uint64]) -> None:
    """Write rows of numbers sorted by the first, as .npy."""

    import numpy as np

    np.save(path, keys[np.argsort(keys[:, 0], kind="stable")])


def repeated(paths: Sequence[Path]) -> Iterator[NDArray[np.uint64]]:
    """The rows whose first number occurs more than once in files of write_keys, sorted.

    One array for each slice of the numbers' range; equal first numbers are in one array.
    """

    import numpy as np

    total = sum(len(np.load(path, mmap_mode="r")) for path in paths)
    slices = max(1, -(-total // _SLICE))
    edges = [(1 << 64) * number // slices for number in range(1, slices)]
    for low, high in itertools.pairwise([0, *edges, None]):
        parts = []
        for path in paths:
            rows = np.load(path, mmap_mode="r")
            begin = np.searchsorted(rows[:, 0], np.uint64(low or 0))
            end = len(rows) if high is None else np.searchsorted(rows[:, 0], np.uint64(high))
            parts.append(np.array(rows[begin:end]))
        rows = np.concatenate(parts) if parts else np.zeros((0, 2), np.uint64)
        rows = rows[np.lexsort(rows.T[::-1])]
        again = np.zeros(len(rows), bool)
        again[1:] = rows[1:, 0] == rows[:-1, 0]
        again[:-1] |= again[1:]
        yield rows[again]


def candidates(paths: Sequence[Path]) -> NDArray[np.int64]:
    """Pairs (later, earlier) of documents that share a band, sorted, each once."""

    import numpy as np

    found = [np.zeros((0, 2), np.int64)]
    for rows in repeated(paths):
        keys, documents = rows[:, 0], rows[:, 1].astype(np.int64)
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(rows)])
        place = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
        for distance in range(1, LEADERS + 1):  # the leader of rank distance - 1
            later = np.flatnonzero(place >= distance)
            leader = later - place[later] + distance - 1
            found.append(np.stack([documents[later], documents[leader]], axis=1))
        pairs = np.concatenate(found)
        pairs = pairs[np.lexsort(pairs.T[::-1])]
        new = np.concatenate([[True], (pairs[1:] != pairs[:-1]).any(axis=1)])[: len(pairs)]
        found = [pairs[new & (pairs[:, 0] != pairs[:, 1])]]
    return found[0]


def ngram_sets(near: NearDuplicates, cut: Cut) -> list[Hashes]:
    """The set of n-grams of each text, as sorted 64-bit hashes."""

    import numpy as np

    hashes, starts = cut.runs(near.ngram)
    edges = np.searchsorted(starts, cut.bounds)
    return [np.unique(hashes[begin:end]) for begin, end in itertools.pairwise(edges)]


def jaccard(one: Hashes, other: Hashes) -> float:
    """What two sets have in common, as a share of what both have."""

    import numpy as np

    union = len(np.union1d(one, other))
    return (len(one) + len(other) - union) / union if union else 0.0
