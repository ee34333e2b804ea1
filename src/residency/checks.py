"""checks: what a synthetic question must pass, whoever wrote it; each fault has a reason.

question ── repeats one kept before? ── repeats one of an exam? ──> kept, or into the ledger
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from residency.decontaminate import Decontaminate, copied, index
from residency.records import Question
from residency.words import words

Fault = Callable[[Question], tuple[str, str] | None]
"""Tells what is wrong with a question, as reason and detail; None remembers it as kept."""


def checks(exams: Iterable[Question], decontaminate: Decontaminate) -> Fault:
    """The check of a set of questions, which must repeat neither `exams` nor each other."""
    asked_elsewhere = index(exams, decontaminate)
    asked: set[tuple[str, ...]] = set()

    def fault(question: Question) -> tuple[str, str] | None:
        right = (question.options[each].casefold() for each in question.answers)
        said = (*words(question.stem), *right)
        if said in asked:
            return "duplicate question", ""
        leak = copied(question, asked_elsewhere)
        if leak:
            return "in exam", leak.detail
        asked.add(said)
        return None

    return fault
