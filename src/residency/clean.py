"""clean: keep the text worth training on; every drop has a reason.

    paragraph ── normalise ── filter ── in an exam? ── seen before? ──> corpus
                                └─ empty, too short, too long, repetitive, in exam, duplicate

What is compared with the exams is the text as it will be read: the paragraphs kept, side by side,
so that no question reaches across a dropped paragraph unseen.
Only what was kept makes a later copy a duplicate. Cleaning a corpus again changes nothing.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from residency import records, step
from residency.decontaminate import Decontaminate, Index, index, leaks
from residency.files import write_rows
from residency.records import Document, Rejected, write_ledger
from residency.section import Complaint, Name, Section, Share
from residency.words import words

# Control characters that are no white space, and invisible ones that only steer line breaking.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u2060\ufeff]")
_BLANK_LINE = re.compile(r"\n\s*\n")


class Filter(Section):
    """Bounds that a paragraph must keep to."""

    min_words: int = Field(ge=0, description="Paragraphs with fewer words are dropped.")
    max_words: int = Field(ge=1, description="Paragraphs with more words are dropped.")
    max_repetition: Share = Field(
        description="Largest share of a paragraph's word 3-grams that may be repeats of another."
    )


class Deduplicate(Section):
    """Exact duplicates, after case and white space are folded."""

    unit: Literal["paragraph", "document"] = Field(description="What is compared and dropped.")


class Corpus(Section):
    """Cleaned text from one or more sources."""

    sources: list[Name] = Field(min_length=1, description="Sources to take the documents of.")
    filter: Filter = Field(description="Bounds that a paragraph must keep to.")
    deduplicate: Deduplicate = Field(description="Exact duplicates are dropped after the first.")
    decontaminate: Decontaminate = Field(description="Exams to keep out of the corpus.")


def clean(corpus: Corpus, documents: list[Path], exams: list[Path], out: Path) -> None:
    """Clean ingested documents into documents.jsonl; every drop has its reason in the ledger.

    `documents`: folders of build/documents; `exams`: the splits' .jsonl files to keep out.
    Raises Complaint when nothing is left.
    """
    asked = (question for path in exams for question in records.questions(path))
    sieve = _Sieve(corpus, index(asked, corpus.decontaminate), {}, [])
    kept = Counter({"documents": 0, "paragraphs": 0, "words": 0})

    def remaining() -> Iterator[Document]:
        for folder in documents:
            for document in records.documents(folder):
                paragraphs = sieve.passed(document)
                if paragraphs:
                    kept["documents"] += 1
                    kept["paragraphs"] += len(paragraphs)
                    kept["words"] += sum(len(words(each)) for each in paragraphs)
                    yield replace(document, text="\n\n".join(paragraphs))

    write_rows(out / "documents.jsonl", remaining())
    if not kept["documents"]:
        raise Complaint(_nothing_left(corpus, sieve.rejected))
    write_ledger(out, dict(kept), sieve.rejected)


def normalised(paragraph: str) -> str:
    """One line in Unicode NFC without control characters; runs of white space become a space."""
    return unicodedata.normalize("NFC", " ".join(_INVISIBLE.sub("", paragraph).split()))


def repetition(paragraph: list[str]) -> float:
    """Share of a paragraph's word 3-grams that repeat an earlier one (Rae et al. 2021, A1.1)."""
    runs = list(zip(paragraph, paragraph[1:], paragraph[2:], strict=False))
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


@dataclass(frozen=True)
class _Sieve:
    """What a paragraph has to pass, what has passed so far, and what has not."""

    corpus: Corpus
    exams: Index
    seen: dict[bytes, str]  # digests of kept text to the ids of its documents
    rejected: list[Rejected]

    def passed(self, document: Document) -> list[str]:
        """The paragraphs of a document to keep."""
        kept = []
        for raw in _BLANK_LINE.split(document.text.strip()):
            paragraph = normalised(raw)
            problem = self._unfit(paragraph, words(paragraph))
            if problem:
                self._reject(document, *problem, paragraph or raw)
            else:
                kept.append(paragraph)
        kept = self._not_in_exam(document, kept)
        if self.corpus.deduplicate.unit == "paragraph":
            new = self._new(document, kept)
            while len(new) < len(kept):  # others have become neighbours
                kept = self._not_in_exam(document, new)
                new = self._new(document, kept)
            self.seen.update(dict.fromkeys(map(_digest, kept), document.id))
        text = "\n\n".join(kept)
        if kept and self.corpus.deduplicate.unit == "document":
            digest = _digest(text)
            if digest in self.seen:
                self._reject(document, "duplicate document", f"first in {self.seen[digest]}", text)
                return []
            self.seen[digest] = document.id
        return kept

    def _unfit(self, paragraph: str, found: list[str]) -> tuple[str, str] | None:
        bounds = self.corpus.filter
        if not paragraph:
            return "empty", "nothing but white space and control characters"
        if len(found) < bounds.min_words:
            return "too short", f"{len(found)} words"
        if len(found) > bounds.max_words:
            return "too long", f"{len(found)} words"
        share = repetition(found)
        if share > bounds.max_repetition:
            return "repetitive", f"{share:.3f} of its word 3-grams repeat"
        return None

    def _not_in_exam(self, document: Document, paragraphs: list[str]) -> list[str]:
        gone: dict[int, str] = {}
        for leak in leaks(paragraphs, self.exams):
            for place in leak.paragraphs:
                gone.setdefault(place, leak.detail)
        for place, detail in sorted(gone.items()):
            self._reject(document, "in exam", detail, paragraphs[place])
        return [each for place, each in enumerate(paragraphs) if place not in gone]

    def _new(self, document: Document, paragraphs: list[str]) -> list[str]:
        first: dict[bytes, str] = {}
        new = []
        for paragraph in paragraphs:
            digest = _digest(paragraph)
            known = self.seen.get(digest) or first.get(digest)
            if known:
                self._reject(document, "duplicate paragraph", f"first in {known}", paragraph)
            else:
                first[digest] = document.id
                new.append(paragraph)
        return new

    def _reject(self, document: Document, reason: str, detail: str, text: str) -> None:
        item = {"document": document.id, "text": text}
        self.rejected.append(Rejected(id=document.id, reason=reason, detail=detail, item=item))


def _digest(text: str) -> bytes:
    folded = " ".join(unicodedata.normalize("NFC", text.casefold()).split())
    return hashlib.blake2b(folded.encode(), digest_size=16).digest()


def _nothing_left(corpus: Corpus, rejected: list[Rejected]) -> str:
    sources = ", ".join(corpus.sources)
    if not rejected:
        return f"no text in the documents of {sources}; a corpus needs at least one paragraph"
    reason, count = Counter(each.reason for each in rejected).most_common(1)[0]
    return (
        f"nothing is left of {sources}: {count} of {len(rejected)} dropped paragraphs were "
        f'"{reason}" (such as: {next(each.detail for each in rejected if each.reason == reason)}); '
        "loosen what drops them under filter, deduplicate or decontaminate"
    )


if __name__ == "__main__":
    step.run(clean, Corpus)
