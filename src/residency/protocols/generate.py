"""generate: the model writes its answer, freely or as one of the answers that are allowed.

Constrained, each token is the most probable one of those with which an allowed answer goes on.
Free, the text is read by the rules of residency.protocols.parsing; what cannot be read is wrong,
and counted. The most probable token is taken each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency.prompts import ASKED
from residency.protocols import sitting as shared
from residency.protocols.parsing import parse
from residency.protocols.sitting import (
    Budget,
    Most,
    Of,
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

ASKS = ASKED
REASON = "(Reason step by step, then end with a line such as: Answer: {})"


class Generate(Section):
    """The model writes its answer."""

    kind: Literal["generate"] = Field(description="The protocol's name.")
    version: shared.Version
    answer: Literal["constrained", "free"] = Field(
        description="Only the allowed answers, or any text, which is then read."
    )
    reason: bool = Field(description="Whether reasons are asked for before the answer.")
    of: Of
    options: Options
    most_tokens: Most
    system: System
    template: Template
    few_shot: Shots
    precision: Precision
    budget: Budget

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed(self.of, self.options, self.template, self.system)
        if self.reason and self.answer == "constrained":
            raise ValueError("reason: false where the answer is constrained, found true")
        return self


def sit(protocol: Generate, sitting: Sitting, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    users = [user(protocol, each) for each in asked]
    texts = [Text(id=each.id, user=one) for each, one in zip(asked, users, strict=True)]
    if protocol.answer == "constrained":
        return bound(protocol, sitting, asked, texts, protocol.most_tokens)
    said = write(sitting, texts, protocol.most_tokens)
    return [
        {"prompt": one, "said": text, "answer": parse(text, each, protocol.of)}
        for one, text, each in zip(users, said, asked, strict=True)
    ]


def bound(
    protocol: Any,
    sitting: Sitting,
    asked: Sequence[Question],
    texts: Sequence[Text],
    most: int = 0,
) -> list[dict[str, Any]]:
    """What is said, and the options that it stands for, where nothing but an answer may be said.

    `protocol`: anything that `choices` takes; `texts`: how each question is put.
    """
    sets = [choices(protocol, each) for each in asked]
    said = write(sitting, texts, most, allowed=[list(each) for each in sets])
    return [
        {"prompt": text.user, "said": told, "answer": each.get(told)}
        for text, told, each in zip(texts, said, sets, strict=True)
    ]


def example(protocol: Any, question: Question) -> list[tuple[str, str]]:
    """A question shown with its answer, after its explanation where reasons are asked for.

    `protocol`: anything with `of`, `options` and `reason`.
    """
    answer = shared.told(question, question.answers, protocol.of)
    if protocol.reason:
        answer = f"{question.explanation}\n\nAnswer: {answer}".strip()
    return [(user(protocol, question), answer)]


def user(protocol: Any, question: Question) -> str:
    """The message, and that reasons are wanted.

    `protocol`: anything with `of`, `options` and `reason`.
    """
    if not protocol.reason:
        return shared.ask(question, protocol.options, protocol.of)
    sample = "A" if protocol.of == "letter" else "the answer"
    return f"{shared.ask(question, protocol.options, 'text')}\n{REASON.format(sample)}"


def choices(protocol: Any, question: Question) -> dict[str, tuple[int, ...]]:
    """What may be said, with what it means; of options with one text, the first."""
    found: dict[str, tuple[int, ...]] = {}
    for each in shared.candidates(question):
        found.setdefault(shared.told(question, each, protocol.of), each)
    return found
