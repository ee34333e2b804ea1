"""propositions: each proposition is judged true or false by itself, by likelihood.

A proposition is ticked where "True" is more likely than "False" after it. Where just one option is
right, the one is ticked for which "True" leads "False" by most. The French national exam's score is
`discordance` in scores.json; residency.scores says how it counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency import prompts
from residency.protocols import sitting as shared
from residency.protocols.sitting import Precision, Shots, Sitting, System, Template
from residency.records import Question
from residency.section import Section

ASKS = ("single", "multiple", "propositions")
JUDGED = ("True", "False")  # as in residency.prompts.lessons


class Propositions(Section):
    """Each proposition is judged true or false by likelihood."""

    kind: Literal["propositions"] = Field(description="The protocol's name.")
    version: shared.Version
    system: System
    template: Template
    few_shot: Shots
    precision: Precision

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed("text", "shown", self.template, self.system)
        return self


def sit(
    _protocol: Propositions, sitting: Sitting, asked: Sequence[Question]
) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    return judge(sitting, asked, [()] * len(asked))


def judge(
    sitting: Sitting, asked: Sequence[Question], earlier: Sequence[Sequence[tuple[str, str]]]
) -> list[dict[str, Any]]:
    """The same, after a conversation of each question's own."""
    replies = [shared.said(sitting, word) for word in JUDGED]
    users = [[prompts.propose(each, i) for i in range(len(each.options))] for each in asked]
    put = [
        (question.id, shared.put(sitting, user, before))
        for question, own, before in zip(asked, users, earlier, strict=True)
        for user in own
    ]
    values = iter(
        shared.score(sitting, [id for id, _ in put], [(prompt, replies) for _, prompt in put])
    )
    found = []
    for question, own in zip(asked, users, strict=True):
        rows = []
        for index in range(len(own)):
            true, false = next(values)
            rows.append({"option": index, "true": true, "false": false})
        found.append({"prompt": "\n\n".join(own), "judged": rows, "answer": ticked(question, rows)})
    return found


def ticked(question: Question, rows: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    """The propositions held to be true."""
    leads = [row["true"] - row["false"] for row in rows]
    if (question.form or question.kind) in ("single", "judgement"):
        return (leads.index(max(leads)),)
    return tuple(index for index, lead in enumerate(leads) if lead > 0)


def example(_protocol: Propositions, question: Question) -> list[tuple[str, str]]:
    """A question's propositions, each with its verdict."""
    right = set(question.answers)
    return [
        (prompts.propose(question, index), JUDGED[index not in right])
        for index in range(len(question.options))
    ]


def scores(_asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How often a proposition is judged right, and how well that is foretold."""
    from residency.scores import calibration_error, mean

    held, correct, by_question = [], [], []
    for row in rows:
        verdicts = [
            (each["true"] > each["false"]) == (each["option"] in row["right"])
            for each in row["judged"]
        ]
        by_question.append(sum(verdicts) / len(verdicts))
        correct += verdicts
        held += [
            1 / (1 + math.exp(-min(abs(each["true"] - each["false"]), 700)))
            for each in row["judged"]
        ]
    return {
        "propositions": {
            "judged": len(correct),
            "correct": sum(correct),
            "accuracy": mean(rows, by_question),
            "calibration_error": calibration_error(held, correct),
        }
    }
