"""explain: the model answers and says why; the reasons are compared with the exam's explanation.

It is asked as in training (residency.prompts.lessons): "(Explain your answer.)"; the answer stands
in the first paragraph, the explanation behind it. Of an open question all that is written is
compared with its reference, or else its explanation, and right is who says exactly that. Questions
whose exam gives nothing to compare with are counted, and left out of the means. The comparison is
told in residency.overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency import prompts
from residency.overlap import UNITS, overlap
from residency.prompts import ASKED
from residency.protocols import sitting as shared
from residency.protocols.parsing import parse
from residency.protocols.sitting import (
    Budget,
    Most,
    Options,
    Precision,
    Shots,
    Sitting,
    System,
    Template,
)
from residency.protocols.writing import Text, write
from residency.records import Question
from residency.section import Section

ASKS = (*ASKED, "open")
EXPLAIN = "(Explain your answer.)"


class Explain(Section):
    """The model answers and explains."""

    kind: Literal["explain"] = Field(description="The protocol's name.")
    version: shared.Version
    options: Options
    most_tokens: Most
    system: System
    template: Template
    few_shot: Shots
    precision: Precision
    budget: Budget

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed("text", self.options, self.template, self.system)
        return self


def sit(protocol: Explain, sitting: Sitting, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    users = [_user(protocol, each) for each in asked]
    texts = [Text(id=each.id, user=user) for each, user in zip(asked, users, strict=True)]
    said = write(sitting, texts, protocol.most_tokens)
    return [
        {"prompt": user, "said": text, **_read(question, text)}
        for question, user, text in zip(asked, users, said, strict=True)
    ]


def _user(protocol: Explain, question: Question) -> str:
    if question.kind == "open":
        return prompts.ask(question, "hidden")
    return f"{prompts.ask(question, protocol.options)}\n{EXPLAIN}"


def _read(question: Question, text: str) -> dict[str, Any]:
    """The answer, the explanation, the reference, and how much they overlap."""
    if question.kind == "open":
        reference = question.reference or question.explanation
        same = " ".join(text.casefold().split()) == " ".join(reference.casefold().split())
        told: dict[str, Any] = {"explained": text, "answer": (), "correct": bool(text) and same}
    else:
        first, _, rest = text.partition("\n\n")
        reference = question.explanation
        told = {"explained": rest.strip(), "answer": parse(first, question, "text")}
    compared = overlap(told["explained"], reference) if reference else None
    return {**told, "reference": reference, "overlap": compared}


def example(protocol: Explain, question: Question) -> list[tuple[str, str]]:
    """A question shown with its answer and explanation."""
    if question.kind == "open":
        return [(_user(protocol, question), question.reference or question.explanation)]
    answer = f"{prompts.answer(question, question.answers)}\n\n{question.explanation}"
    return [(_user(protocol, question), answer.strip())]


def scores(_asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean overlap with intervals, over the questions that have something to compare with."""
    from residency.scores import mean

    some = [row for row in rows if row["overlap"]]
    found: dict[str, Any] = {"compared": len(some), "nothing to compare": len(rows) - len(some)}
    for unit in UNITS if some else ():
        found[unit] = {
            name: mean(some, [row["overlap"][unit][name] for row in some])
            for name in some[0]["overlap"][unit]
        }
    return {"explanations": found}
