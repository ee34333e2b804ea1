"""progressive: a case's questions in their order, each with those before it as context.

The conversation holds the earlier questions with the model's own answers, or with the right ones:
the difference tells how far a wrong turn carries. A case's text is told once, before its first
question. Questions are answered by likelihood or by generation, propositions judged one by one,
as by their forms. All cases' first questions are asked together, then all second ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency import prompts
from residency.protocols import generate, likelihood, propositions
from residency.protocols import sitting as shared
from residency.protocols.sitting import (
    Budget,
    By,
    Normalise,
    Of,
    Options,
    Precision,
    Sitting,
    System,
    Template,
)
from residency.protocols.writing import Text
from residency.records import Question
from residency.section import Section

ASKS = ("progressive",)


class Progressive(Section):
    """The questions of a case in order, after the earlier ones and their answers."""

    kind: Literal["progressive"] = Field(description="The protocol's name.")
    version: shared.Version
    earlier: Literal["own", "right"] = Field(
        description="Whose answers to the earlier questions are the context: the model's own, or "
        "the right ones."
    )
    by: By
    of: Of
    options: Options
    normalise: Normalise
    system: System
    template: Template
    few_shot: None = Field(description="No examples: the case's earlier questions are there.")
    precision: Precision
    budget: Budget

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed(self.of, self.options, self.template, self.system)
        shared.divided(self.by, self.normalise)
        return self


def sit(protocol: Progressive, sitting: Sitting, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    cases: dict[str, list[int]] = {}
    for number in sorted(range(len(asked)), key=lambda i: asked[i].order):
        cases.setdefault(asked[number].group, []).append(number)
    told: dict[str, list[tuple[str, str]]] = {group: [] for group in cases}
    found: dict[int, dict[str, Any]] = {}
    for turn in range(max(map(len, cases.values()))):
        numbers = [case[turn] for case in cases.values() if turn < len(case)]
        before = [case[turn - 1] if turn else None for case in cases.values() if turn < len(case)]
        now = [
            _as_asked(asked[number], None if last is None else asked[last])
            for number, last in zip(numbers, before, strict=True)
        ]
        rows = _answered(protocol, sitting, now, [told[each.group] for each in now])
        for number, question, row in zip(numbers, now, rows, strict=True):
            found[number] = row | {"earlier": list(told[question.group])}
            answer = row["answer"] if protocol.earlier == "own" else question.answers
            said = shared.told(question, answer or (), protocol.of) or prompts.NOTHING
            told[question.group].append((_user(protocol, question), said))
    return [found[number] for number in range(len(asked))]


def _as_asked(question: Question, before: Question | None) -> Question:
    """The question as its form, with the case's text only where the one before had another."""
    return replace(prompts.after(question, before), kind=question.form or "single", form=None)


def _user(protocol: Progressive, question: Question) -> str:
    if question.kind == "propositions":
        return prompts.ask(question, "shown")
    return shared.ask(question, protocol.options, protocol.of)


def _answered(
    protocol: Progressive,
    sitting: Sitting,
    asked: Sequence[Question],
    earlier: Sequence[list[tuple[str, str]]],
) -> list[dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    chosen = [i for i, each in enumerate(asked) if each.kind != "propositions"]
    judged = [i for i, each in enumerate(asked) if each.kind == "propositions"]
    if chosen:
        some = [asked[i] for i in chosen]
        users = [_user(protocol, each) for each in some]
        answer = _written if protocol.by == "generation" else _rated
        rows = answer(protocol, sitting, some, users, [earlier[i] for i in chosen])
        found |= dict(zip(chosen, rows, strict=True))
    if judged:
        some, before = [asked[i] for i in judged], [earlier[i] for i in judged]
        rows = propositions.judge(sitting, protocol.by, some, before)
        found |= dict(zip(judged, rows, strict=True))
    return [found[i] for i in range(len(asked))]


def _rated(
    protocol: Progressive,
    sitting: Sitting,
    asked: Sequence[Question],
    users: Sequence[str],
    earlier: Sequence[list[tuple[str, str]]],
) -> list[dict[str, Any]]:
    put = [shared.put(sitting, *each) for each in zip(users, earlier, strict=True)]
    rated = likelihood.rate(protocol, sitting, asked, put)
    return [
        {"prompt": user, "candidates": rows, "answer": likelihood.best(rows)["options"]}
        for user, rows in zip(users, rated, strict=True)
    ]


def _written(
    protocol: Progressive,
    sitting: Sitting,
    asked: Sequence[Question],
    users: Sequence[str],
    earlier: Sequence[list[tuple[str, str]]],
) -> list[dict[str, Any]]:
    texts = [
        Text(id=question.id, user=user, earlier=tuple(before))
        for question, user, before in zip(asked, users, earlier, strict=True)
    ]
    return generate.bound(protocol, sitting, asked, texts)


def example(_protocol: Progressive, _question: Question) -> list[tuple[str, str]]:
    """None is shown."""
    return []


def scores(asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Accuracy by the question's place in its case."""
    from residency.scores import share

    by_order: dict[int, list[bool]] = {}
    for question, row in zip(asked, rows, strict=True):
        by_order.setdefault(question.order, []).append(row["correct"])
    return {"by_order": {str(order): share(each) for order, each in sorted(by_order.items())}}
