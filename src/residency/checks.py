"""checks: what a synthetic question must pass, whoever wrote it; each fault has a reason.

question ── well made? ── repeats one kept before? ── repeats an exam's? ──> kept, or the ledger
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from pydantic import Field, model_validator

from residency.decontaminate import Decontaminate, copied, index, leaks
from residency.records import Question
from residency.section import Section, Share, in_order
from residency.words import words


@dataclass(frozen=True, slots=True)
class Fault:
    """The check of a set of questions; called, it tells one's fault."""

    tell: Callable[[Question], tuple[str, str] | None]
    forget: Callable[[Question], None]  # one remembered as kept is dropped after all

    def __call__(self, question: Question) -> tuple[str, str] | None:
        """What is wrong, as reason and detail; None remembers the question as kept."""
        return self.tell(question)


DUPLICATE = "duplicate question"
"""The one fault that may pass, once the question repeated is dropped itself."""

SLACK = 10
"""Characters added to each option's length before lengths are compared: short ones may differ."""


class Checks(Section):
    """What a question must be like, whoever wrote it."""

    min_stem_words: int = Field(ge=1, description="Fewest words of a stem.")
    max_stem_words: int = Field(ge=1, description="Most words of a stem.")
    min_case_words: int = Field(ge=1, description="Fewest words of a progressive question's case.")
    min_quote_words: int = Field(
        ge=1, description="Fewest words of the passage quoted as evidence."
    )
    option_lengths: float | None = Field(
        ge=1,
        description="Most that the longest option may be times as long as the shortest; null for "
        "any.",
    )
    near_duplicate: Share | None = Field(
        gt=0,
        description="Jaccard similarity, of the words asked and of the right answers both, from "
        "which on a question repeats another; null for equal words in equal order only.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Checks:
        in_order(self, "min_stem_words", "max_stem_words")
        return self


def checks(
    section: Checks,
    exams: Iterable[Question],
    decontaminate: Decontaminate,
    examples: Iterable[Question] = (),
) -> Fault:
    """The check of a set of questions, which must repeat neither `exams` nor each other.

    `examples`: questions shown to the writer, which it must not give back.
    """
    asked_elsewhere = index(exams, decontaminate)
    shown = index(examples, decontaminate)
    asked: set[tuple[str, ...]] = set()
    alike = _Alike(section.near_duplicate) if section.near_duplicate is not None else None
    read: dict[tuple[str, ...], str] = {}

    def told(texts: tuple[str, ...]) -> str:
        """What of an exam stands in a question's texts; they may be those of the one before."""
        if texts not in read:
            read.clear()
            found = leaks([text for text in texts if text], asked_elsewhere)
            read[texts] = found[0].detail if found else ""
        return read[texts]

    def fault(question: Question) -> tuple[str, str] | None:
        found = next(_faults(section, question), None)
        if found:
            return found
        stem, right = words(question.asked), _right(question)
        said = _said(question)
        if said in asked:
            return DUPLICATE, ""
        leak = copied(question, asked_elsewhere)
        if leak:
            return "in exam", leak.detail
        leaked = told((question.context, question.explanation, question.reference))
        if leaked:
            return "in exam", leaked
        leak = copied(question, shown)
        if leak:
            return "repeats an example", leak.detail
        if alike:
            same = alike.seen(question.id, frozenset(stem), frozenset(words(" ".join(right))))
            if same:
                return DUPLICATE, f"nearly {same}"
        asked.add(said)
        return None

    def forget(question: Question) -> None:
        asked.discard(_said(question))
        if alike:
            alike.forget(question.id)

    return Fault(fault, forget)


def _right(question: Question) -> list[str]:
    return [question.options[each] for each in question.answers] or [question.reference]


def _said(question: Question) -> tuple[str, ...]:
    """What two questions that repeat each other have in common."""
    return (*words(question.asked), *(each.casefold() for each in sorted(_right(question))))


def _faults(section: Checks, question: Question) -> Iterator[tuple[str, str]]:
    """What is wrong with a question as it stands by itself."""
    options, right, stem = question.options, set(question.answers), words(question.stem)
    form = question.form or question.kind
    expected = {"single": 1, "judgement": 1}.get(form)
    if expected is not None and len(right) != expected:
        yield "wrong number of right answers", f"{len(right)}, expected {expected}"
    folded = [tuple(words(each)) or (each,) for each in options]
    if len(set(folded)) < len(folded):
        yield "options not distinct", " / ".join(options)
    if form not in ("judgement", "propositions", "open"):
        yield from _lengths(section, options)
        if any(_REFERRING.search(each) for each in options):
            yield "option about options", " / ".join(options)
        inside = [holds(stem, each) for each in folded]
        if any(inside[each] for each in right) and not all(inside):
            yield "answer in stem", ""
    elif form == "open" and holds(stem, words(question.reference)):
        yield "answer in stem", ""
    if _LETTERED.search(question.explanation):
        yield "explanation names a letter", question.explanation
    if len(stem) < section.min_stem_words:
        yield "too short", f"a stem of {len(stem)} words"
    if len(stem) > section.max_stem_words:
        yield "too long", f"a stem of {len(stem)} words"
    evidence = question.origin.get("quote")
    if evidence is not None and len(words(evidence)) < section.min_quote_words:
        yield "quote too short", evidence
    if question.kind == "progressive":
        length = len(words(question.context))
        if length < section.min_case_words:
            yield "case too short", f"{length} words"


def _lengths(section: Checks, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    if section.option_lengths is not None:
        lengths = [len(each) for each in options]
        ratio = (max(lengths) + SLACK) / (min(lengths) + SLACK)
        if ratio > section.option_lengths:
            yield "options of unlike length", f"{min(lengths)} to {max(lengths)} characters"


_REFERRING = re.compile(
    r"\b(?:all|none|any|both|either|neither) of (?:the above|these|them)\b"
    r"|^(?:both )?[A-J](?:, ?[A-J])*,? (?:and|or|&) [A-J]\.?$|^以上|上述|ci-dessus",
    re.IGNORECASE,
)
_LETTERED = re.compile(r"\b(?:[Oo]ptions?|[Aa]nswers?|[Cc]hoices?|选项|réponses?) ?\(?[A-J]\b(?!')")


def holds(text: Sequence[str], phrase: Sequence[str]) -> bool:
    """Whether words, which hold no spaces, stand in a text, one behind the other."""
    return bool(phrase and text) and f" {' '.join(phrase)} " in f" {' '.join(text)} "


class _Alike:
    """Questions kept, to be found by their likeness.

    By prefix filtering (Chaudhuri et al. 2006, doi:10.1109/ICDE.2006.9): sets whose Jaccard
    similarity is at least t share a word among the first |A| - ceil(t |A|) + 1 of each, whatever
    the order; here long words come first, as they are rare. Both sets must share one.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.kept: list[tuple[str, frozenset[str], frozenset[str]]] = []
        self.numbers: dict[str, int] = {}  # by id, of kept
        self.holding: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def seen(self, id: str, stem: frozenset[str], right: frozenset[str]) -> str:
        """The id of a question kept that this one nearly repeats; else empty, and it is kept."""
        pairs = [(a, b) for a in self._prefix(stem) for b in self._prefix(right)]
        for number in sorted({each for pair in pairs for each in self.holding.get(pair, ())}):
            name, asked, told = self.kept[number]
            if min(_jaccard(stem, asked), _jaccard(right, told)) >= self.share:
                return name
        for pair in pairs:
            self.holding[pair].append(len(self.kept))
        self.kept.append((id, stem, right))
        self.numbers[id] = len(self.kept) - 1
        return ""

    def forget(self, id: str) -> None:
        """The question is not kept after all."""
        _, stem, right = self.kept[number := self.numbers.pop(id)]
        for pair in {(a, b) for a in self._prefix(stem) for b in self._prefix(right)}:
            self.holding[pair].remove(number)

    def _prefix(self, these: frozenset[str]) -> list[str]:
        ordered = sorted(sorted(these), key=len, reverse=True)
        return ordered[: len(these) - ceil(self.share * len(these) - 1e-9) + 1] or [""]


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 1.0
