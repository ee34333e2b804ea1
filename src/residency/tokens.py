"""Many texts as arrays: every distinct stretch between white space is cut into words only once.

    texts ── split ──> stretches ──> numbers of distinct stretches ──> numbers of their tokens
                                           └─ cut by a regular expression when first seen

Text repeats itself (Zipf), so most of the work is one dictionary look-up per stretch; what follows
is arithmetic on arrays. Two ways to cut are at hand: `words`, what overlap.words finds, and
`tokens`, close to what spaCy's rules for English give (punctuation apart, it's -> it 's); in both
each character of a script without spaces is one.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from residency import overlap

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_MOST = 1 << 20
"""Tokens of distinct stretches to remember; with more, everything is forgotten."""

_CONTRACTION = r"['’](?:s|S|ll|ve|re|d|m)(?![^\W_])"
_TOKEN = re.compile(
    rf"""
    [{overlap.CJK}]
    | (?:https?://|www\.)\S*[^\W_]/?
    | (?:[^\W\d_]\.){{2,}}
    | (?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Co|Inc|Ltd|vs|No)\.
    | \.{{2,}} | …
    | [^\W_]+? (?=n['’]t(?![^\W_])) | n['’]t(?![^\W_])
    | {_CONTRACTION}
    | [^\W_{overlap.CJK}]+
      (?: (?: [.:/,](?=\d) | \.(?=[a-z]) | (?<!\d)-(?=\d) | (?<=\d)-(?=[^\W\d_])
              | (?!{_CONTRACTION})['’] | _ )
          [^\W_{overlap.CJK}]+ )*
    | [^\s]
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Cut:
    """Texts cut into tokens; token i is number `which[i]` of the distinct ones.

    Text t has the tokens bounds[t] to bounds[t + 1].
    """

    which: Numbers
    bounds: Numbers
    distinct: Sequence[str]
    hashes: Hashes  # 64 bits for each distinct token, the same in every process

    @property
    def counts(self) -> Numbers:
        """Tokens of each text."""
        return np.diff(self.bounds)

    def runs(self, length: int) -> tuple[Hashes, Numbers]:
        """A hash for each run of `length` tokens that lies inside a text; where it starts."""
        hashes = self.hashes[self.which]
        starts = np.arange(max(0, len(hashes) - length + 1))
        last = np.repeat(self.bounds[1:], self.counts)[: len(starts)]
        starts = starts[starts + length <= last]
        mixed = np.zeros(max(0, len(hashes) - length + 1), np.uint64)
        for offset in range(length):
            mixed *= _ODD
            mixed += hashes[offset : offset + len(mixed)]
        return _scrambled(mixed[starts]), starts

    def take(self, texts: Numbers) -> Cut:
        """Only these texts, given by rising number."""
        chosen = np.zeros(len(self.bounds) - 1, bool)
        chosen[texts] = True
        until = np.concatenate([[0], np.cumsum(self.counts[chosen])])
        which = self.which[np.repeat(chosen, self.counts)]
        return replace(self, which=which, bounds=until)

    def joined(self, sizes: Sequence[int]) -> Cut:
        """Neighbouring texts made one: first sizes[0] of them, then sizes[1] ..."""
        edges = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
        return replace(self, bounds=self.bounds[edges])

    def text(self, number: int) -> list[str]:
        """The tokens of a text."""
        begin, end = self.bounds[number : number + 2]
        return [self.distinct[each] for each in self.which[begin:end].tolist()]

    def owners(self) -> Numbers:
        """The text of each token."""
        return np.repeat(np.arange(len(self.bounds) - 1), self.counts)


class Cutter:
    """Remembers how each distinct stretch is cut, up to a bound."""

    def __init__(self, cut: Callable[[str], list[str]]) -> None:
        self.cut = cut
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self.stretches = _Numbering()
        self.tokens = _Numbering()
        self.known = 0  # stretches cut so far
        self.which = array("q")  # tokens of one stretch after the other
        self.ends = array("q", [0])
        self.hashes = array("Q")

    def __call__(self, texts: Iterable[Sequence[str]]) -> Cut:
        """Cut texts that are given as their stretches."""
        if len(self.which) > _MOST:
            self.forget()
        found = array("q")
        sizes = []
        for stretches in texts:
            found.extend(map(self.stretches.__getitem__, stretches))
            sizes.append(len(found))
        self._learn()
        numbers = np.frombuffer(found, np.int64) if found else np.zeros(0, np.int64)
        ends = np.array(self.ends)
        counts = np.diff(ends)[numbers]
        until = np.concatenate([[0], np.cumsum(counts)])
        places = np.repeat(ends[:-1][numbers] - until[:-1], counts) + np.arange(until[-1])
        return Cut(
            which=np.array(self.which, np.int64)[places],
            bounds=until[np.array([0, *sizes], np.int64)],
            distinct=list(self.tokens),
            hashes=np.array(self.hashes, np.uint64),
        )

    def _learn(self) -> None:
        for stretch in list(self.stretches)[self.known :]:
            self.which.extend(map(self.tokens.__getitem__, self.cut(stretch)))
            self.ends.append(len(self.which))
        self.known = len(self.stretches)
        for token in list(self.tokens)[len(self.hashes) :]:
            self.hashes.append(hash64(token))


class _Numbering(dict[str, int]):
    """The n-th new key has the number n."""

    def __missing__(self, key: str) -> int:
        self[key] = number = len(self)
        return number


def tokens(text: str) -> list[str]:
    """The tokens of a text, in the manner of spaCy's rules for English."""
    return _TOKEN.findall(text)


def hash64(text: str) -> int:
    """64 bits of BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


_ODD = np.uint64(0x9E3779B97F4A7C15)


def _scrambled(hashes: Hashes) -> Hashes:
    # The finaliser of SplitMix64 (Steele et al. 2014): every bit in depends on every bit out.
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
