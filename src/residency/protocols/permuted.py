"""permuted: each question is asked once for every rotation of its options.

    A. x  B. y  C. z      A. y  B. z  C. x      A. z  B. x  C. y

What counts is the answer that most rotations agree on; of equals, the one with the higher sum of
scores. A model that answers by place instead of content is right in some rotations only, and
inconsistent. (Every cyclic permutation, as in Zheng et al. 2024, arXiv 2309.03882, section 2.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from residency.prompts import ASKED
from residency.protocols import likelihood
from residency.protocols import sitting as shared
from residency.protocols.sitting import (
    Normalise,
    Of,
    Precision,
    Shots,
    Sitting,
    System,
    Template,
)
from residency.records import Question
from residency.scores import mean, share
from residency.section import Section

ASKS = ASKED


class Permuted(Section):
    """Likelihood for every rotation of the options, which are shown."""

    kind: Literal["permuted"] = Field(description="The protocol's name.")
    version: shared.Version
    of: Of
    normalise: Normalise
    system: System
    template: Template
    few_shot: Shots
    precision: Precision


def sit(protocol: Permuted, sitting: Sitting, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    turned = [rotated(each, by) for each in asked for by in range(len(each.options))]
    users = [shared.ask(each, "shown", protocol.of) for each in turned]
    prompts = [shared.put(sitting, user) for user in users]
    rated = iter(likelihood.rate(protocol, sitting, turned, prompts))
    first = iter(users)
    found = []
    for question in asked:
        size = len(question.options)
        own = [next(first) for _ in range(size)]
        rotations = []
        for by in range(size):
            rows = [
                row | {"options": sorted((i + by) % size for i in row["options"])}
                for row in next(rated)
            ]
            answer = likelihood.best(rows)["options"]
            rotations.append({"by": by, "answer": answer, "candidates": rows})
        found.append({"prompt": own[0], "rotations": rotations, "answer": agreed(rotations)})
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


def agreed(rotations: Sequence[dict[str, Any]]) -> list[int]:
    """The answer of most rotations; of equals, that with the higher sum of scores."""
    votes = Counter(tuple(each["answer"]) for each in rotations)
    sums: dict[tuple[int, ...], float] = {}
    for each in rotations:
        for row in each["candidates"]:
            answer = tuple(row["options"])
            sums[answer] = sums.get(answer, 0.0) + row["score"]
    chosen = max(sorted(votes), key=lambda one: (votes[one], sums[one]))
    return list(chosen)


def scores(_asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy over all rotations, and how many questions all rotations agree on."""
    right = [
        sum(each["answer"] == list(row["right"]) for each in row["rotations"])
        / len(row["rotations"])
        for row in rows
    ]
    same = share([len({tuple(e["answer"]) for e in row["rotations"]}) == 1 for row in rows])
    return {
        "rotations": {
            "accuracy": mean(rows, right),
            "consistency": {"value": same["accuracy"], **same["wilson"]},
        }
    }
