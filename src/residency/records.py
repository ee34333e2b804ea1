"""The records that flow between steps, one JSON line each.

raw files ── ingest ──> Document ── clean ──> Document ── write ──> Question
raw exams ── examine ─> Question
whatever is dropped on the way ──> Rejected, never in silence
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from residency.files import read_rows, write_json, write_rows
from residency.reading.blocks import Part

Kind = Literal["single", "multiple", "judgement", "propositions", "open", "progressive"]
"""single: one option is right; multiple: several; judgement: one of a scale (yes, no, maybe);
propositions: each option is true or false by itself, maybe none true; open: answered in words;
progressive: asked while a case unfolds, by its facts or by the questions before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A section of a raw file as plain text; paragraphs are separated by one empty line."""

    id: str
    source: str  # its name in the declaration
    file: str  # path or URL; inside an archive, books.zip!/shelf/book.txt
    sha256: str  # of the raw file, or of the archive's member
    section: tuple[str, ...]  # headings from the file's title down
    pages: tuple[int, int] | None = None  # first and last, where the format has pages
    part: Part = "prose"
    start: int  # offsets in characters into the file's extracted text
    end: int
    language: str
    licence: str
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "section", tuple(self.section))
        if self.pages is not None:
            object.__setattr__(self, "pages", tuple(self.pages))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One exam question; `answers` and the like are indexes into `options`, ascending."""

    id: str
    kind: Kind
    context: str  # a case or passage read before the stem; may be empty
    stem: str
    options: tuple[str, ...]
    answers: tuple[int, ...]
    explanation: str
    group: str  # questions of one group never part: a case, or the question's own id
    labels: dict[str, str]
    language: str
    origin: dict[str, Any]  # where it came from: file and row, or document and characters
    form: Kind | None = None  # of a progressive question: how it is answered
    facts: tuple[str, ...] = ()  # of a progressive question: the context told one by one
    order: int = 0  # place in the case from 1; 0 where the case has no order
    indispensable: tuple[int, ...] = ()  # propositions that must be ticked
    unacceptable: tuple[int, ...] = ()  # propositions that must not be
    reference: str = ""  # the model answer of an open question

    def __post_init__(self) -> None:
        for name in ("options", "answers", "facts", "indispensable", "unacceptable"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def asked(self) -> str:
        """What is put to the candidate, without the options."""
        return f"{self.context}\n\n{self.stem}" if self.context else self.stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Something dropped: why, in one countable word or two, and what exactly it was."""

    id: str
    reason: str
    detail: str
    item: Any


def documents(artifact: Path) -> Iterator[Document]:
    """The documents of build/documents/<name> or build/corpora/<name>."""
    return (Document(**row) for row in read_rows(artifact / "documents.jsonl"))


def questions(path: Path) -> Iterator[Question]:
    """The questions of one .jsonl file of an exam or a question set."""
    return (Question(**row) for row in read_rows(path))


def write_ledger(
    out: Path, kept: dict[str, int], rejected: Iterable[Rejected], **totals: Any
) -> None:
    """Write rejected.jsonl and counts.json ({"kept": {...}, "rejected": {reason: count}}).

    `totals` stand beside these two, such as the rows that both add up to.
    """
    rejected = list(rejected)
    write_rows(out / "rejected.jsonl", rejected)
    reasons = Counter(each.reason for each in rejected)
    counts = {**totals, "kept": kept, "rejected": dict(sorted(reasons.items()))}
    write_json(out / "counts.json", counts)
