"""propositions: each proposition is judged true or false by itself.

A proposition is ticked where "True" is more likely than "False" after it, or written. Where just
one option is right, the one is ticked for which "True" leads "False" by most; by generation the one
of which "True" is written, and none where that is not one. The French national exam's score is
`discordance` in scores.json; residency.scores says how it counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency import prompts
from residency.protocols import sitting as shared
from residency.protocols.sitting import (
    Budget,
    By,
    Precision,
    Shots,
    Sitting,
    System,
    Template,
)
from residency.protocols.writing import Text, write
from residency.records import Question
from residency.section import Section

ASKS = ("single", "multiple", "propositions")
JUDGED = ("True", "False")  # as in residency.prompts.lessons


class Propositions(Section):
    """Each proposition is judged true or false."""

    kind: Literal["propositions"] = Field(description="The protocol's name.")
    version: shared.Version
    by: By
    system: System
    template: Template
    few_shot: Shots
    precision: Precision
    budget: Budget

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed("text", "shown", self.template, self.system)
        return self


def sit(
    protocol: Propositions, sitting: Sitting, asked: Sequence[Question]
) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    return judge(sitting, protocol.by, asked, [()] * len(asked))


def judge(
    sitting: Sitting,
    by: str,
    asked: Sequence[Question],
    earlier: Sequence[Sequence[tuple[str, str]]],
) -> list[dict[str, Any]]:
    """The same, after a conversation of each question's own."""
    users = [[prompts.propose(each, i) for i in range(len(each.options))] for each in asked]
    texts = [
        Text(id=question.id, user=user, earlier=tuple(before))
        for question, own, before in zip(asked, users, earlier, strict=True)
        for user in own
    ]
    verdicts = iter((_written if by == "generation" else _rated)(sitting, texts))
    found = []
    for question, own in zip(asked, users, strict=True):
        rows = [{"option": index, **next(verdicts)} for index in range(len(own))]
        found.append({"prompt": "\n\n".join(own), "judged": rows, "answer": ticked(question, rows)})
    return found


def _rated(sitting: Sitting, texts: Sequence[Text]) -> list[dict[str, Any]]:
    replies = [shared.said(sitting, word) for word in JUDGED]
    put = [(shared.put(sitting, each.user, each.earlier), replies) for each in texts]
    values = shared.score(sitting, [each.id for each in texts], put)
    return [{"true": true, "false": false} for true, false in values]


def _written(sitting: Sitting, texts: Sequence[Text]) -> list[dict[str, Any]]:
    said = write(sitting, texts, 0, allowed=[JUDGED] * len(texts))
    return [{"said": each} for each in said]


def held(row: dict[str, Any]) -> bool:
    """Whether a proposition was held to be true."""
    return bool(row["said"] == JUDGED[0] if "said" in row else row["true"] > row["false"])


def ticked(question: Question, rows: Sequence[dict[str, Any]]) -> tuple[int, ...] | None:
    """The propositions held to be true.

    None where one was not judged, and of a single-answer question where not just one is true.
    """
    alone = (question.form or question.kind) in ("single", "judgement")
    if "said" in rows[0]:
        true = tuple(row["option"] for row in rows if held(row))
        unread = any(not row["said"] for row in rows) or (alone and len(true) != 1)
        return None if unread else true
    leads = [row["true"] - row["false"] for row in rows]
    if alone:
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

    sure, correct, by_question = [], [], []
    for row in rows:
        verdicts = [
            each.get("said") != "" and held(each) == (each["option"] in row["right"])
            for each in row["judged"]
        ]
        by_question.append(sum(verdicts) / len(verdicts))
        correct += verdicts
        sure += [
            1 / (1 + math.exp(-min(abs(each["true"] - each["false"]), 700)))
            for each in row["judged"]
            if "true" in each
        ]
    found: dict[str, Any] = {
        "judged": len(correct),
        "correct": sum(correct),
        "accuracy": mean(rows, by_question),
    }
    if sure:
        found["calibration_error"] = calibration_error(sure, correct)
    return {"propositions": found}
