"""passages: what a question is written about: whole paragraphs of one document, up to a length.

A document's passages depend on its text alone. Where one ends depends, as in content-defined
chunking (Muthitacharoen et al. 2001, doi:10.1145/502034.502052), on digests of the paragraphs that
may follow as well as on length: when a paragraph is edited, passages further down soon begin and
end where they did, and what was asked about them stays as it was.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from residency.records import Document
from residency.words import words

SHORT = 4
"""A passage of less than 1/SHORT of the wanted length joins its neighbour."""

_GAP = re.compile(r"\n[^\S\n]*\n\s*")
_STOP = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+\s+|[。！？]+[”’」』）]*\s*|\n\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Some paragraphs of a document, which stand between two offsets in its text."""

    id: str  # the document's and a digest of the text
    document: Document = field(repr=False)
    start: int  # offsets in characters into document.text
    end: int

    @property
    def text(self) -> str:
        """The paragraphs as they stand in the document."""
        return self.document.text[self.start : self.end]


def passages(documents: Iterable[Document], most: int) -> Iterator[Passage]:
    """The passages of documents, in order, each of at most about `most` words.

    A paragraph longer than that is cut at sentences' ends; a rest of less than a quarter of it
    joins its neighbour.
    """
    for document in documents:
        seen: Counter[str] = Counter()
        for start, end in _cut(document.text, most):
            digest = hashlib.sha256(document.text[start:end].encode()).hexdigest()[:10]
            seen[digest] += 1
            again = f".{seen[digest]}" if seen[digest] > 1 else ""
            id = f"{document.id}:{digest}{again}"
            yield Passage(id=id, document=document, start=start, end=end)


def sentences(text: str) -> list[str]:
    """The sentences of a text as they stand there, each once."""
    ends = [0, *(stop.end() for stop in _STOP.finditer(text)), len(text)]
    found = (text[start:end].strip() for start, end in pairwise(ends))
    return list(dict.fromkeys(each for each in found if each))


def around(document: Document, start: int, end: int) -> Passage:
    """The paragraphs that hold a stretch of a document's text."""
    whole = [each for each in _paragraphs(document.text) if each[0] < end and each[1] > start]
    low, high = (whole[0][0], whole[-1][1]) if whole else (start, end)
    return Passage(id=f"{document.id}:{low}", document=document, start=low, end=high)


def extracted(document: Document, start: int, end: int) -> tuple[int, int]:
    """Where a stretch of a document stands in its file's extracted text.

    Exact where cleaning left the document's length as it was; else all of the document.
    """
    if document.end - document.start == len(document.text):
        return document.start + start, document.start + end
    return document.start, document.end


def _cut(text: str, most: int) -> list[tuple[int, int]]:
    """Where passages begin and end: each as long as fits, then cut where a digest is smallest.

    Only a cut behind half of what fits is looked for, so that none is much shorter.
    """
    units = [(low, high, len(words(text[low:high]))) for low, high in _units(text, most)]
    digests = [hashlib.sha256(text[low:high].encode()).digest() for low, high, _ in units]
    rests = [0, *accumulate(length for *_, length in reversed(units))][::-1]
    found: list[tuple[int, int]] = []
    first = 0
    while first < len(units):
        size, last = 0, first
        cuts: list[int] = []  # units before which this passage may end
        while last < len(units) and (size + units[last][2] <= most or SHORT * size < most):
            size += units[last][2]
            last += 1
            if 2 * size >= most:
                cuts.append(last)
        if SHORT * rests[last] < most:
            last = len(units)
        elif cuts:
            last = min(cuts, key=lambda cut: digests[cut])
        found.append((units[first][0], units[last - 1][1]))
        first = last
    return found


def _units(text: str, most: int) -> Iterator[tuple[int, int]]:
    """Paragraphs, and of one that is too long its sentences."""
    for start, end in _paragraphs(text):
        if len(words(text[start:end])) <= most:
            yield start, end
            continue
        for stop in [*_STOP.finditer(text, start, end), None]:
            last = stop.end() if stop else end
            if text[start:last].strip():
                yield start, start + len(text[start:last].rstrip())
                start = last


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = len(text) - len(text.lstrip())
    for gap in [*_GAP.finditer(text, start), None]:
        end = gap.start() if gap else len(text.rstrip())
        if start < end:
            yield start, end
        start = gap.end() if gap else end
