"""judge: models sit a question, with its passage and without; the majority decides.

    question ─┬─ with the passage ─────> are the declared answers named, and no other?
              └─ without it ───────────> the share that names them: labels.closed_book

A question is answerable if more than half of the judges, given the passage, name exactly the
declared answers; of an open one, if they say that its model answer follows from the passage.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from residency import asking
from residency.answers import Refused, Reply, Request, loads, object_of
from residency.author import LETTERS
from residency.prompts import answer
from residency.records import Question
from residency.section import Name, Section


class Verify(Section):
    """Models that must agree with a question's answers, given its passage."""

    judges: list[Name] = Field(min_length=1, description="The models; the majority decides.")
    max_tokens: int = Field(ge=1, description="Longest verdict, in the model's tokens.")


def prompt() -> asking.Prompt:
    """The file of prompts."""
    return asking.prompt("judge.jinja")


def requests(
    verify: Verify,
    question: Question,
    passage: str,
    before: Sequence[Question],
    file: asking.Prompt,
    seed: int,
) -> list[Request]:
    """What each judge is asked: first with the passage, then, if it is not open, without.

    `before`: the questions on the same case that come before, whose answers are told.
    """
    opened = _form(question) == "open"
    return [
        _request(verify, question, told, before, file, seed)
        for told in ([passage] if opened else [passage, ""])
    ]


def agrees(question: Question, reply: Reply | Refused | None) -> bool:
    """Whether a judge names exactly the declared answers, or says that an open one follows."""
    if not isinstance(reply, Reply):
        return False
    try:
        values = loads(reply.text)
    except ValueError:
        return False
    if not isinstance(values, dict):
        return False
    if _form(question) == "open":
        return values.get("follows") is True
    named = values.get("answers")
    named = named if isinstance(named, list) else [named]
    order = _order(question)
    right = {LETTERS[order.index(each)] for each in question.answers}
    return all(isinstance(each, str) for each in named) and set(named) == right


def _form(question: Question) -> str:
    return question.form or question.kind


def _order(question: Question) -> list[int]:
    """The options as a judge sees them: mixed, so that no writer's habit tells the right one."""
    places = list(range(len(question.options)))
    if _form(question) != "judgement":
        random.Random(question.id).shuffle(places)
    return places


def _request(
    verify: Verify,
    question: Question,
    passage: str,
    before: Sequence[Question],
    file: asking.Prompt,
    seed: int,
) -> Request:
    kind = _form(question)
    options = [question.options[each] for each in _order(question)]
    earlier = [(each.stem, answer(each, each.answers)) for each in before]
    told = [text for pair in earlier for text in pair]
    texts = [passage, question.asked, question.reference, *question.options, *told]
    system, user = file.render(
        texts,
        kind=kind,
        passage=passage,
        asked=question.asked,
        options=list(zip(LETTERS, options, strict=False)),
        reference=question.reference,
        before=earlier,
    )
    return Request(
        system=system,
        user=user,
        schema=_schema(kind, len(options)),
        temperature=0.0,
        max_tokens=verify.max_tokens,
        seed=seed,
    )


def _schema(kind: str, options: int) -> dict[str, Any]:
    letter = {"type": "string", "enum": list(LETTERS[:options])}
    several = kind in ("multiple", "propositions")
    least, most = (int(kind == "multiple"), options) if several else (1, 1)
    named = {"type": "array", "items": letter, "minItems": least, "maxItems": most}
    said = {"follows": {"type": "boolean"}} if kind == "open" else {"answers": named}
    return object_of(reason={"type": "string"}, **said)
