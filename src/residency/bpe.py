"""Learn byte-pair merges that continue those of a base tokenizer.

    texts ── counted ──> words with counts ── the base's merges ──> Words ── learn ──> new merges

A pair can be merged no oftener than its two pieces stand side by side before any merge, so wherever
that is rarer than the rarest merge that will be made, words are cut there beforehand and what is
left of them is counted together: the merges are the same and few words remain (`_stretches`).
"""

from __future__ import annotations

import heapq
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
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


CUT_BEFORE_SPACE = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",  # Llama 3
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",  # Qwen 2 and 3
)
"""Expressions that, like GPT-2's, always end a match between a character and a space behind it."""


def counted(tokenizer: Any, texts: Iterable[str]) -> dict[str, int]:
    """How often each pre-token occurs in texts, by a `tokenizers.Tokenizer`'s own rules."""
    if not _cuts_before_space(orjson.loads(tokenizer.to_str())):
        return _pretokens(tokenizer, texts)
    # What stands between two such cuts is cut by itself as it is in the text, so only once.
    first: Counter[str] = Counter()
    spaced: Counter[str] = Counter()
    for text in texts:
        if _WIDE.search(text):
            first.update(_CUT.split(text))
        else:
            beginning, *rest = text.split(" ")
            first[beginning] += 1
            spaced.update(rest)
    for word, count in spaced.items():
        first[f" {word}"] += count
    del spaced
    return _weighed(tokenizer, first)


_WIDE = re.compile(r"\s |^ | $")
_CUT = re.compile(r"(?<=\S)(?= )")


def _cuts_before_space(content: dict[str, Any]) -> bool:
    """Whether nothing of a tokenizer.json reaches from a character to a space behind it."""
    if (content["normalizer"] or {"type": "NFC"})["type"] != "NFC":
        return False
    cutter = content["pre_tokenizer"] or {}
    return all(
        each.get("type") == "Digits"
        or (each.get("type") == "ByteLevel" and not each["add_prefix_space"])
        or (each.get("type") == "Split" and each["pattern"].get("Regex") in CUT_BEFORE_SPACE)
        for each in cutter.get("pretokenizers", [cutter])
    )


def _weighed(tokenizer: Any, chunks: Counter[str]) -> dict[str, int]:
    """The pre-tokens of chunks with counts."""
    found: defaultdict[str, int] = defaultdict(int)
    normalizer, cutter = tokenizer.normalizer, tokenizer.pre_tokenizer
    for chunk, count in chunks.items():
        text = chunk if normalizer is None else normalizer.normalize_str(chunk)
        for word, _ in cutter.pre_tokenize_str(text):
            found[word] += count
    return found


def _pretokens(tokenizer: Any, texts: Iterable[str]) -> dict[str, int]:
    """Counted by a trainer of the library on all cores; pickling is its one way to tell them."""
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
    """The merges that save at least `least` tokens; all occurrences of one are made at once."""
    texts = list(words.texts)
    chain = _Chain(stretches, len(texts) + most, least)
    counts = chain.counts
    unmade = {text: number for number, text in enumerate(texts) if number >= words.spelled}
    waiting: defaultdict[int, list[int]] = defaultdict(list)
    heap: list[tuple[int, Parts, int]] = [(-count, parts, -1) for parts, count in saved.items()]

    def offer(keys: Iterable[int]) -> None:
        for key in keys:
            if counts[key] >= least:
                pair = divmod(key, chain.width)
                if missing := [part for part in pair if texts[part] in unmade]:
                    waiting[missing[0]].append(key)
                else:
                    heapq.heappush(heap, (-counts[key], (texts[pair[0]], texts[pair[1]]), key))

    heapq.heapify(heap)
    offer(list(counts))
    taken = set(known)
    merges: list[Parts] = []
    while heap and len(merges) < most:
        count, parts, key = heapq.heappop(heap)
        if key >= 0 and -count != counts[key]:  # it has lost since
            offer([key])
            continue
        text = "".join(parts)
        if text in taken:
            continue
        taken.add(text)
        merges.append(parts)
        if key < 0:
            offer(waiting.pop(unmade.pop(text), ()))
        else:
            texts.append(text)
            offer(chain.merge(key, len(texts) - 1))
    return merges


class _Chain:
    """Stretches of symbols one after the other, in which a pair is merged wherever it stands."""

    def __init__(self, stretches: dict[bytes, int], width: int, least: int) -> None:
        """`width`: more than any symbol's number; the key of a pair is left * width + right.

        A pair comes up all at once and only loses from then on: one met less often than `least`
        is not remembered.
        """
        self.width, self.least = width, least
        sizes = np.fromiter((len(each) // 8 for each in stretches), np.int64, len(stretches))
        self.symbols = np.frombuffer(b"".join(stretches), np.int64).astype(np.int32)
        weights = np.fromiter(stretches.values(), np.int64, len(stretches))
        self.weights = np.repeat(weights, sizes)
        joins = within(sizes)
        places = np.arange(len(self.symbols), dtype=np.int64)
        self.after = np.where(joins, places + 1, -1)
        self.before = np.where(np.append(False, joins[:-1]), places - 1, -1)
        self.where: dict[int, NDArray[np.int64]] = {}
        self.counts: dict[int, int] = {}
        self._add(np.flatnonzero(joins))

    def merge(self, key: int, new: int) -> list[int]:
        """Make the pair one new symbol, from the left; the pairs that are new by this."""
        left, right = divmod(key, self.width)
        at = self.where.pop(key)  # in order, as a stable sort left them
        at = at[self.symbols[at] == left]
        then = self.after[at]
        fits = (then >= 0) & (self.symbols[then] == right)
        at, then = at[fits], then[fits]
        if left == right:  # of a run such as aaa, the first two
            follows = np.append(False, then[:-1] == at[1:])
            order = np.arange(len(at))
            first = np.maximum.accumulate(np.where(follows, 0, order))
            chosen = (order - first) % 2 == 0
            at, then = at[chosen], then[chosen]
        touched = np.concatenate([self.before[at], at, then])
        touched = _distinct(touched[touched >= 0])
        touched = touched[self.after[touched] >= 0]
        keys, counts, _, _ = self._counted(touched)
        for gone, count in zip(keys.tolist(), counts.tolist(), strict=True):
            if gone in self.counts:
                self.counts[gone] -= count
        self.symbols[at] = new
        self.symbols[then] = -1
        behind = self.after[then]
        self.after[at] = behind
        self.before[behind[behind >= 0]] = at[behind >= 0]
        # What stands before may have been the right half of another that was merged.
        made = np.concatenate([self.before[at], at])
        made = _distinct(made[made >= 0])
        return self._add(made[self.after[made] >= 0])

    def _add(self, places: NDArray[np.int64]) -> list[int]:
        """Enter the pairs that begin at these places and are frequent enough, and say which."""
        keys, counts, order, bounds = self._counted(places)
        ordered = places[order]
        frequent = np.flatnonzero(counts >= self.least)
        added: list[int] = keys[frequent].tolist()
        first, last = bounds[frequent].tolist(), bounds[frequent + 1].tolist()
        self.counts.update(zip(added, counts[frequent].tolist(), strict=True))
        for key, begin, end in zip(added, first, last, strict=True):
            self.where[key] = ordered[begin:end]
        return added

    def _counted(
        self, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Distinct keys at places, their counts, the order by key, and where each begins in it."""
        keys = self.symbols[places].astype(np.int64) * self.width + self.symbols[self.after[places]]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
        bounds = np.append(starts, len(keys))
        sums = np.append(0, np.cumsum(self.weights[places][order]))
        return keys[starts], np.diff(sums[bounds]), order, bounds


def _distinct(places: NDArray[np.int64]) -> NDArray[np.int64]:
    places = np.sort(places)
    first = np.append(True, places[1:] != places[:-1])[: len(places)]
    found: NDArray[np.int64] = places[first]
    return found
