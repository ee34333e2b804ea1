"""Learn byte-pair merges that continue those of a base tokenizer.

    texts ── counted ──> words with counts ── the base's merges ──> Words ── learn ──> new merges

A pair can be merged no oftener than its two pieces stand side by side before any merge, so wherever
that is rarer than the rarest merge that will be made, words are cut there beforehand and what is
left of them is counted together: the merges are the same and few words remain (`_stretches`).
"""

from __future__ import annotations

import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from residency.workers import cores

Parts = tuple[str, ...]
"""From what a new piece is made: two pieces, or one character that the base spells in bytes."""

BATCH = 100_000
"""Words that are encoded at a time."""


@dataclass(frozen=True)
class Words:
    """A text as the base cuts it, each distinct word once."""

    texts: Sequence[str]  # of each symbol, by number
    which: NDArray[np.int64]  # the symbols of one word after the other
    counts: NDArray[np.int64]  # how often the word of each of them occurs
    joins: NDArray[np.bool_]  # whether each may be merged with the next
    spelled: int  # symbols from this number on are characters that the base spells in bytes

    @classmethod
    def of(cls, words: Counter[tuple[str, ...]]) -> Words:
        """Words given as pieces."""
        numbers: dict[str, int] = {}
        which = [numbers.setdefault(piece, len(numbers)) for word in words for piece in word]
        sizes = [len(word) for word in words]
        return cls(
            texts=list(numbers),
            which=np.array(which, np.int64),
            counts=np.repeat(np.array(list(words.values()), np.int64), sizes),
            joins=within(sizes),
            spelled=len(numbers),
        )

    def frequencies(self) -> NDArray[np.int64]:
        """How often each symbol occurs."""
        found = np.zeros(len(self.texts), np.int64)
        np.add.at(found, self.which, self.counts)
        return found


def within(sizes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each symbol whether another one of its word follows."""
    ends = np.cumsum(np.asarray(sizes, np.int64))
    joins = np.ones(int(ends[-1]) if len(ends) else 0, np.bool_)
    joins[ends[np.asarray(sizes) > 0] - 1] = False
    return joins


def counted(tokenizer: Any, texts: Iterable[str]) -> dict[str, int]:
    """How often each pre-token occurs in texts, by a `tokenizers.Tokenizer`'s own rules.

    Counted by a trainer of that library on all cores; pickling is its one way to tell the counts.
    """
    from tokenizers import Tokenizer, models, trainers

    os.environ.setdefault("RAYON_NUM_THREADS", str(cores()))
    counter = Tokenizer(models.WordLevel())
    if tokenizer.normalizer is not None:
        counter.normalizer = tokenizer.normalizer
    if tokenizer.pre_tokenizer is not None:
        counter.pre_tokenizer = tokenizer.pre_tokenizer
    trainer = trainers.WordLevelTrainer(vocab_size=0, show_progress=False)
    counter.train_from_iterator(texts, trainer)
    found: dict[str, int] = orjson.loads(trainer.__getstate__())["WordLevelTrainer"]["words"]
    return found


def encoded(model: Any, words: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The ids of words by a `tokenizers` model, one word after the other, and how many each has."""
    from tokenizers import Tokenizer

    plain, rest = Tokenizer(model), iter(words)
    ids, sizes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    while batch := list(islice(rest, BATCH)):
        found = [each.ids for each in plain.encode_batch_fast(batch, add_special_tokens=False)]
        sizes.append(np.fromiter(map(len, found), np.int64, len(found)))
        every = (number for each in found for number in each)
        ids.append(np.fromiter(every, np.int64, int(sizes[-1].sum())))
    return np.concatenate(ids), np.concatenate(sizes)


def learn(words: Words, known: set[str], most: int, min_count: int) -> list[Parts]:
    """At most `most` new pieces, each the one that saves most tokens at its time; ties go by text.

    A pair of pieces saves as many tokens as it occurs times (Sennrich et al. 2016,
    https://aclanthology.org/P16-1162, Algorithm 1), a character that the base spells in bytes all
    but one of them each time; pairs with it come into question once it is a piece. Both must occur
    `min_count` times when they are made. A text that is `known`, or made before, is not made again.
    """
    counts, inverse = _pairs(words)
    occurring = words.frequencies()
    saved: dict[Parts, int] = {
        (words.texts[number],): (len(words.texts[number].encode()) - 1) * int(occurring[number])
        for number in range(words.spelled, len(words.texts))
        if occurring[number] >= min_count and _piece(words.texts[number])
    }
    ranked = -np.sort(-np.concatenate([counts, np.fromiter(saved.values(), np.int64)]))
    least = max(min_count, int(ranked[min(most, len(ranked)) - 1])) if len(ranked) else min_count
    while True:
        stretches = _stretches(words, counts[inverse] >= least)
        enough: dict[Parts, int] = {
            parts: count for parts, count in saved.items() if count >= least
        }
        merges = _learn(stretches, enough, words, known, most, least)
        if len(merges) >= most or least == min_count:
            return merges
        least = max(min_count, least // 2)


def _piece(character: str) -> bool:
    return character.isprintable() and not character.isspace() and len(character.encode()) > 1


def _pairs(words: Words) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each distinct pair of neighbours occurs, and which of them each joint is."""
    at = np.flatnonzero(words.joins)
    keys = words.which[at] * len(words.texts) + words.which[at + 1]
    pairs, inverse = np.unique(keys, return_inverse=True)
    counts = np.bincount(inverse, words.counts[at].astype(np.float64), len(pairs))
    return counts.astype(np.int64), inverse


def _stretches(words: Words, frequent: NDArray[np.bool_]) -> dict[bytes, int]:
    """Words cut at joints that are not `frequent`, as the bytes of int64, with their counts."""
    joins = np.zeros(len(words.which) + 1, np.bool_)
    joins[np.flatnonzero(words.joins)[frequent] + 1] = True
    firsts = np.flatnonzero(~joins[:-1] & joins[1:])
    lasts = np.flatnonzero(joins[:-1] & ~joins[1:])
    data = words.which.tobytes()
    found: defaultdict[bytes, int] = defaultdict(int)
    for first, last, count in zip(
        (firsts * 8).tolist(), (lasts * 8 + 8).tolist(), words.counts[firsts].tolist(), strict=True
    ):
        found[data[first:last]] += count
    return found


def _learn(
    stretches: dict[bytes, int],
    saved: dict[Parts, int],
    words: Words,
    known: set[str],
    most: int,
    least: int,
) -> list[Parts]:
    cut = [
        [words.texts[number] for number in np.frombuffer(each, np.int64).tolist()]
        for each in stretches
    ]
    weight = list(stretches.values())
    counts: Counter[Parts] = Counter()
    where: defaultdict[Parts, set[int]] = defaultdict(set)
    pair: Parts
    for number, word in enumerate(cut):
        for pair in pairwise(word):
            counts[pair] += weight[number]
            where[pair].add(number)

    unmade = set(words.texts[words.spelled :])
    waiting: defaultdict[str, list[Parts]] = defaultdict(list)
    for pair in counts:
        for part in unmade.intersection(pair):
            waiting[part].append(pair)
    counts.update(saved)
    taken = set(known)
    merges: list[Parts] = []
    heap = [
        (-count, parts)
        for parts, count in counts.items()
        if count >= least and (len(parts) == 1 or unmade.isdisjoint(parts))
    ]
    heapq.heapify(heap)
    while heap and len(merges) < most:
        count, best = heapq.heappop(heap)
        if -count != counts[best]:
            if counts[best] >= least:
                heapq.heappush(heap, (-counts[best], best))
            continue
        text = "".join(best)
        if text in taken:
            continue
        taken.add(text)
        merges.append(best)
        touched: set[Parts] = set()
        if len(best) == 1:
            unmade.discard(text)
            touched.update(pair for pair in waiting[text] if unmade.isdisjoint(pair))
        else:
            for number in where.pop(best):
                word, times = cut[number], weight[number]
                for pair in pairwise(word):
                    counts[pair] -= times
                word[:] = _merged(word, best, text)
                for pair in pairwise(word):
                    counts[pair] += times
                    if text in pair:
                        where[pair].add(number)
                        touched.add(pair)
                        for part in unmade.intersection(pair):
                            waiting[part].append(pair)
            touched = {pair for pair in touched if unmade.isdisjoint(pair)}
        for pair in touched:
            if counts[pair] >= least:
                heapq.heappush(heap, (-counts[pair], pair))
    return merges


def _merged(word: list[str], pair: Parts, text: str) -> list[str]:
    """`word` with each `pair` in it made one piece, from the left."""
    left, right = pair
    result: list[str] = []
    at, last = 0, len(word) - 1
    while at <= last:
        if word[at] == left and at < last and word[at + 1] == right:
            result.append(text)
            at += 2
        else:
            result.append(word[at])
            at += 1
    return result
