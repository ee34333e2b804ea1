"""permuted: each question is asked once for every rotation of its options.

    A. x  B. y  C. z      A. y  B. z  C. x      A. z  B. x  C. y

What counts is the answer that most rotations agree on; of equals, the one with the higher sum of
scores, or by generation the first in the order of the options. A model that answers by place
instead of content is right in some rotations only, and inconsistent. (Every cyclic permutation, as
in Zheng et al. 2024, arXiv 2309.03882, section 2.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency.prompts import ASKED
from residency.protocols import generate, likelihood
from residency.protocols import sitting as shared
from residency.protocols.sitting import (
    Budget,
    By,
    Normalise,
    Of,
    Precision,
    Shots,
    Sitting,
    System,
    Template,
)
from residency.protocols.writing import Text
from residency.records import Question
from residency.scores import mean, share
from residency.section import Section

ASKS = ASKED


class Permuted(Section):
    """An answer for every rotation of the options, which are shown."""

    kind: Literal["permuted"] = Field(description="The protocol's name.")
    version: shared.Version
    by: By
    of: Of
    normalise: Normalise
    system: System
    template: Template
    few_shot: Shots
    precision: Precision
    budget: Budget

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.divided(self.by, self.normalise)
        return self


def sit(protocol: Permuted, sitting: Sitting, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    turned = [rotated(each, by) for each in asked for by in range(len(each.options))]
    users = [shared.ask(each, "shown", protocol.of) for each in turned]
    answer = _written if protocol.by == "generation" else _rated
    answered = iter(zip(users, answer(protocol, sitting, turned, users), strict=True))
    found = []
    for question in asked:
        own = [next(answered) for _ in question.options]
        rotations = [_back(row, by, len(own)) for by, (_, row) in enumerate(own)]
        found.append({"prompt": own[0][0], "rotations": rotations, "answer": agreed(rotations)})
    return found


def _rated(
    protocol: Permuted, sitting: Sitting, turned: Sequence[Question], users: Sequence[str]
) -> list[dict[str, Any]]:
    prompts = [shared.put(sitting, user) for user in users]
    return [
        {"answer": likelihood.best(rows)["options"], "candidates": rows}
        for rows in likelihood.rate(protocol, sitting, turned, prompts)
    ]


def _written(
    protocol: Permuted, sitting: Sitting, turned: Sequence[Question], users: Sequence[str]
) -> list[dict[str, Any]]:
    texts = [Text(id=each.id, user=user) for each, user in zip(turned, users, strict=True)]
    rows = generate.bound(protocol, sitting, turned, texts)
    return [{"answer": row["answer"], "said": row["said"]} for row in rows]


def _back(row: dict[str, Any], by: int, size: int) -> dict[str, Any]:
    """What was answered to a rotation, in the question's own order."""

    def turned(options: Sequence[int]) -> list[int]:
        return sorted((each + by) % size for each in options)

    answer = None if row["answer"] is None else turned(row["answer"])
    found = {"by": by} | row | {"answer": answer}
    if "candidates" in row:
        rows = row["candidates"]
        found["candidates"] = [each | {"options": turned(each["options"])} for each in rows]
    return found


def example(protocol: Permuted, question: Question) -> list[tuple[str, str]]:
    """A question shown with its answer."""
    return [shared.shown(question, "shown", protocol.of)]


def rotated(question: Question, by: int) -> Question:
    """The question with its options moved up by some places, the first ones last."""
    size = len(question.options)
    return replace(
        question,
        options=(*question.options[by:], *question.options[:by]),
        answers=tuple(sorted((each - by) % size for each in question.answers)),
    )


def agreed(rotations: Sequence[dict[str, Any]]) -> list[int] | None:
    """The answer of most rotations; of equals, that with the higher sum of scores.

    What could not be read does not vote; None where nothing could.
    """
    votes = Counter(tuple(each["answer"]) for each in rotations if each["answer"] is not None)
    sums: dict[tuple[int, ...], float] = {}
    for each in rotations:
        for row in each.get("candidates", ()):
            answer = tuple(row["options"])
            sums[answer] = sums.get(answer, 0.0) + row["score"]
    chosen = max(sorted(votes), key=lambda one: (votes[one], sums.get(one, 0.0)), default=None)
    return None if chosen is None else list(chosen)


def scores(_asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy over all rotations, and how many questions all rotations agree on."""
    right = [
        sum(each["answer"] == list(row["right"]) for each in row["rotations"])
        / len(row["rotations"])
        for row in rows
    ]
    same = share([_same(row["rotations"]) for row in rows])
    return {
        "rotations": {
            "accuracy": mean(rows, right),
            "consistency": {"value": same["accuracy"], **same["wilson"]},
        }
    }


def _same(rotations: Sequence[dict[str, Any]]) -> bool:
    first = rotations[0]["answer"]
    return first is not None and all(each["answer"] == first for each in rotations)
