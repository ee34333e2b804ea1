"""Word n-grams that two texts share: how exam questions are kept out of what a model learns.

    prints = fingerprints(questions, ngram=8)
    run = shared(paragraph, prints, ngram=8)  # None, or the words they share
    prints[run]                               # the id of the question that they are from

The test of GPT-3 (Brown et al. 2020, appendix C) with the length of the run left to the user.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from pydantic import Field

from residency.records import Question
from residency.section import Name, Section

Split = Literal["train", "dev", "test"]

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""Characters of scripts written without spaces, for a regular expression's brackets."""

SHORTEST = 3
"""Fewer words than this are never a copy, however short the question."""

_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")


class Decontaminate(Section):
    """Keep declared exams out of a text: a passage sharing a long word run with one is dropped."""

    exams: list[Name] = Field(description="Exams to keep out.")
    splits: list[Split] = Field(description="Which of their splits; normally dev and test.")
    ngram: int = Field(ge=3, le=50, description="Length in words of a run that counts as a copy.")


def words(text: str) -> list[str]:
    """The words of a text, case and compatibility forms folded; each CJK character is one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def fingerprints(questions: Iterable[Question], ngram: int) -> dict[str, str]:
    """Runs of words that give a question away, each with the id of the first one it is from.

    Drawn from what is asked and from the stem followed by each option. A text with fewer than
    `ngram` words is one run as a whole; what is asked only if it has half as many, since an
    unfinished stem such as "Insulin is" is in every textbook. Explanations are left out: they
    often quote the book that is to be learned, and no candidate sees them.
    """
    runs: dict[str, str] = {}
    for question in questions:
        asked = words(question.asked)
        answered = [words(f"{question.stem} {option}") for option in question.options]
        texts = [asked, *answered] if 2 * len(asked) >= ngram else answered
        for text in texts:
            for run in _runs(text, min(ngram, max(len(text), SHORTEST))):
                runs.setdefault(run, question.id)
    return runs


def shared(text: str, prints: dict[str, str], ngram: int) -> str | None:
    """The first run in `text` that is in `prints` (made with the same `ngram`), longest first."""
    return shared_run(words(text), prints, ngram)


def shared_run(text: Sequence[str], prints: dict[str, str], ngram: int) -> str | None:
    """As `shared`, for a text already cut into words."""
    if not prints:
        return None
    lengths = range(ngram, SHORTEST - 1, -1)
    return next((run for n in lengths for run in _runs(text, n) if run in prints), None)


def _runs(text: Sequence[str], length: int) -> Iterator[str]:
    return (" ".join(text[start : start + length]) for start in range(len(text) - length + 1))
