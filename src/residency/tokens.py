"""Many texts as arrays: every distinct stretch between white space is cut into words only once.

    texts ── split ──> stretches ──> numbers of distinct stretches ──> numbers of their tokens
                                           └─ cut by a regular expression when first seen

Text repeats itself (Zipf), so most of the work is one dictionary look-up per stretch; what follows
is arithmetic on arrays. Two ways to cut are at hand: `words`, what words.words finds, and
`tokens`, nearly what spaCy's rules for English find (punctuation apart, it's -> it 's); in both
each character of a script without spaces is one.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from residency.words import CJK

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

SIGN, WORD, LETTER = 0, 1, 2
"""Kinds of tokens: without letter or digit, without letter, with one."""

_MOST = 1 << 20
"""Tokens of distinct stretches to remember; with more, everything is forgotten."""

# The rules of spaCy 3.8 for English, less emoticons and rare abbreviations.
_QUOTE = "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_SIGN = r"…,:;!?¿؟¡()\[\]{}<>_#*&。？！，、；：～·।،۔؛٪"
_UNIT = (
    "km[²³]?|[dcm]?m[²³]?|ha|[µn]m|yd|in|ft|[kmµ]?g|t|lb|oz|m/s|km/h|kmh|mph|hPa|Pa|mbar|mb|MB|kb|"
    "KB|gb|GB|tb|TB|T|G|M|K|%"
)
_LETTER, _LOWER, _UPPER = r"[^\W\d_]", "[a-zß-öø-ÿ]", "[A-ZÀ-ÖØ-Þ]"
_HYPHEN = "---|--|——|[-–—~]"
_PREFIX = re.compile(rf"[§%=—–]|\+(?![0-9])|\.\.+|[{_SIGN}{_QUOTE}$£€¥₹°©®™]|[\u2300-\u27bf]")
_SUFFIX = re.compile(
    rf"""
    (?: \.\.+ | ['’][sS] | [{_SIGN}{_QUOTE}—–°©®™] | [\u2300-\u27bf] | (?<=[0-9])\+
      | (?<=[0-9])[$£€¥₹] | (?<=[0-9])(?:{_UNIT})
      | (?:(?<=[0-9%²\-+{_SIGN}{_QUOTE}])|(?<={_LOWER}))\. | (?<={_UPPER}{_UPPER})\. )$
    """,
    re.VERBOSE,
)
_INFIX = re.compile(
    rf"""
    \.\.+ | … | [\u2300-\u27bf°©®™]
    | (?<=[0-9])[+\-*^](?=[0-9-])
    | (?:(?<={_LOWER})|(?<=[{_QUOTE}]))\.(?={_UPPER}|[{_QUOTE}])
    | (?<={_LETTER}),(?={_LETTER})
    | (?<=[^\W_])(?:{_HYPHEN})(?={_LETTER})
    | (?<=[^\W_])[:<>=/](?={_LETTER})
    """,
    re.VERBOSE,
)
_WHOLE = re.compile(
    r"(?:[^\W\d_]\.)+(?:[A-Z]\.)?|(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Co|Corp|Inc|Ltd|Bros|Gen|Gov|Rep|Sen"
    r"|Rev|Mt|vs|v|Ph\.D|e\.g|i\.e|a\.m|p\.m|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)\."
    r"|and/or|w/o|https?://\S+|www\.\S+"
)
_SPLIT = re.compile(
    r"(ai|are|ca|could|dare|did|does|do|had|has|have|is|may|might|must|need|ought|sha|should|was"
    r"|were|wo|would)(n['’]?t)|(i|you|he|she|it|we|they|who|what|when|where|why|how|there|that)"
    r"(['’](?:ll|d|ve|m|re|s))|(can)(not)|(let)(['’]s)",
    re.IGNORECASE,
)
_JOINED = frozenset(f"{verb}nt" for verb in ["ca", "do", "did", "does", "is", "was", "wo"]) | {
    "cannot"
}
_CJK = re.compile(f"([{CJK}])")


@dataclass(frozen=True)
class Cut:
    """Texts cut into tokens; token i is number `which[i]` of the distinct ones.

    Text t has the tokens bounds[t] to bounds[t + 1].
    """

    which: Numbers
    bounds: Numbers
    distinct: Sequence[str]  # may grow behind the last of `hashes`
    numbering: Mapping[str, int]
    hashes: Hashes  # 64 bits for each distinct token, the same in every process
    widths: Numbers  # characters of each distinct token
    kinds: Numbers  # LETTER, WORD or SIGN of each distinct token

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
    """Remembers how each distinct stretch is cut, in each of some ways, up to a bound."""

    def __init__(self, *ways: Callable[[str], list[str]]) -> None:
        self.ways = ways
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self.stretches = _Numbering()
        self.known = [_Known(way) for way in self.ways]

    def __call__(self, texts: Iterable[Sequence[str]]) -> list[Cut]:
        """Cut texts that are given as their stretches; one Cut for each way."""
        if any(len(known.which) > _MOST for known in self.known):
            self.forget()
        before = len(self.stretches)
        numbers = array("q")
        sizes = array("q", [0])
        for stretches in texts:
            numbers.extend(map(self.stretches.__getitem__, stretches))
            sizes.append(len(numbers))
        new = list(islice(self.stretches, before, None))
        for known in self.known:
            known.learn(new)
        places, bounds = _numbers(numbers), _numbers(sizes)
        return [known.cut(places, bounds) for known in self.known]


class _Known:
    """How stretches are cut in one way, by their numbers."""

    def __init__(self, way: Callable[[str], list[str]]) -> None:
        self.way = way
        self.which = array("q")  # tokens of one stretch after the other
        self.ends = array("q", [0])
        self.numbering = _Numbering()
        self.distinct: list[str] = []
        self.hashes = array("Q")
        self.widths = array("q")
        self.kinds = array("q")

    def learn(self, stretches: Iterable[str]) -> None:
        for stretch in stretches:
            self.which.extend(map(self.numbering.__getitem__, self.way(stretch)))
            self.ends.append(len(self.which))
        for token in islice(self.numbering, len(self.distinct), None):
            self.distinct.append(token)
            self.hashes.append(hash64(token))
            self.widths.append(len(token))
            letter = any(map(str.isalpha, token))
            self.kinds.append(LETTER if letter else WORD if any(map(str.isalnum, token)) else SIGN)

    def cut(self, stretches: Numbers, sizes: Numbers) -> Cut:
        ends = _numbers(self.ends)
        counts = np.diff(ends)[stretches]
        until = np.concatenate([[0], np.cumsum(counts)])
        places = np.repeat(ends[:-1][stretches] - until[:-1], counts) + np.arange(until[-1])
        return Cut(
            which=_numbers(self.which)[places],
            bounds=until[sizes],
            distinct=self.distinct,
            numbering=self.numbering,
            hashes=np.array(self.hashes, np.uint64),
            widths=_numbers(self.widths),
            kinds=_numbers(self.kinds),
        )


def _numbers(values: array[int]) -> Numbers:
    return np.array(values, np.int64)


class _Numbering(dict[str, int]):
    """The n-th new key has the number n."""

    def __missing__(self, key: str) -> int:
        self[key] = number = len(self)
        return number


def tokens(text: str) -> list[str]:
    """The tokens of a text, by spaCy's rules for English; each CJK character is one."""
    return [token for stretch in text.split() for token in _tokens(stretch)]


def _tokens(stretch: str) -> list[str]:
    if stretch.isascii():
        return _affixes(stretch)
    parts = (part for part in _CJK.split(stretch) if part)
    return [token for part in parts for token in ([part] if _CJK.match(part) else _affixes(part))]


def _affixes(rest: str) -> list[str]:
    if rest.isalpha() and rest.lower() not in _JOINED:
        return [rest]
    # Honnibal's algorithm (spaCy, "How spaCy's tokenizer works"): peel from both ends while what
    # is left is no exception, then split inside.
    before: list[str] = []
    after: list[str] = []
    size = -1
    while rest and size != len(rest) and not _exceptional(rest):
        size = len(rest)
        prefix, suffix = _PREFIX.match(rest), _SUFFIX.search(rest, max(0, size - 8))
        if prefix and (not suffix or _exceptional(rest[prefix.end() :])):
            before.append(prefix[0])
            rest = rest[prefix.end() :]
        elif suffix:
            if (
                prefix
                and prefix.end() <= suffix.start()
                and not _exceptional(rest[: suffix.start()])
            ):
                before.append(prefix[0])
                after.append(suffix[0])
                rest = rest[prefix.end() : suffix.start()]
            elif prefix and prefix.end() > suffix.start():
                before.append(prefix[0])
                rest = rest[prefix.end() :]
            else:
                after.append(suffix[0])
                rest = rest[: suffix.start()]
    return before + _inside(rest) + after[::-1]


def _exceptional(text: str) -> bool:
    return bool(_WHOLE.fullmatch(text) or _SPLIT.fullmatch(text))


def _inside(text: str) -> list[str]:
    if not text or (text.isalnum() and text.lower() not in _JOINED):
        return [text] if text else []
    if _WHOLE.fullmatch(text):
        return [text]
    if split := _SPLIT.fullmatch(text):
        return [part for part in split.groups() if part]
    found, start = [], 0
    for infix in _INFIX.finditer(text):
        if infix.start():
            found += [text[start : infix.start()], infix[0]]
            start = infix.end()
    return [part for part in [*found, text[start:]] if part]


def hash64(text: str) -> int:
    """64 bits of BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


_ODD = np.uint64(0x9E3779B97F4A7C15)


def _scrambled(hashes: Hashes) -> Hashes:
    # The finaliser of SplitMix64 (Steele et al. 2014): every bit in depends on every bit out.
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
