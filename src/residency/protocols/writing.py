"""writing: texts that a sitting model writes, here or where it is served.

A served model is told the answers that are allowed as a JSON schema; what it says else is none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from residency import prompts, times
from residency.answers import Refused, Reply, Request, loads, object_of
from residency.generation import Task, generate
from residency.protocols import sitting as shared
from residency.protocols.sitting import Sitting

NEXT = "\nQuestion:"  # in the plain form, where a model goes on with a question of its own

SPACE = 32
"""Tokens of white space that a server may put into JSON of one short text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text to be written about a question."""

    id: str  # the question's
    user: str
    earlier: tuple[tuple[str, str], ...] = ()  # the conversation before
    temperature: float = 0.0
    seed: str = ""


def write(
    sitting: Sitting,
    texts: Sequence[Text],
    most: int,
    allowed: Sequence[Sequence[str]] | None = None,
) -> list[str]:
    """What the model says to each, without white space around it.

    `most`: tokens of a free text; `allowed`: for each, the answers of which it must be one. Empty
    where a served model refuses, or says none of them.
    """
    bounds = allowed or [()] * len(texts)
    if sitting.ask is None:
        return _written(sitting, texts, most, bounds)
    requests = [_request(sitting, *each, most) for each in zip(texts, bounds, strict=True)]
    ids = [each.id for each in texts]
    replies = sitting.ask(requests, ids)
    paid = [each.said if isinstance(each, Refused) else each for each in replies]
    told = [(id, each) for id, each in zip(ids, paid, strict=True) if each]
    times.spent(
        [id for id, _ in told],
        [each.seconds for _, each in told],
        [each.prompt_tokens + each.reply_tokens for _, each in told],
    )
    return [_said(reply, answers) for reply, answers in zip(replies, bounds, strict=True)]


def _request(sitting: Sitting, text: Text, answers: Sequence[str], most: int) -> Request:
    schema: dict[str, Any] | None = None
    if answers:
        schema = object_of(answer={"type": "string", "enum": list(answers)})
        longest = max(len(json.dumps({"answer": each})) for each in answers)
        most = max(most, longest + SPACE)
    return Request(
        system=sitting.system or "",
        user=text.user,
        schema=schema,
        temperature=text.temperature,
        max_tokens=most,
        seed=int(hashlib.sha256(text.seed.encode()).hexdigest()[:8], 16) % 2**31,
        earlier=(*sitting.examples, *text.earlier),
    )


def _said(reply: Reply | Refused, answers: Sequence[str]) -> str:
    if isinstance(reply, Refused):
        return ""
    text = reply.text.strip()
    if not answers:
        return text
    try:
        told = loads(text)
    except ValueError:
        told = text
    said = told.get("answer") if isinstance(told, dict) else text
    return next((each for each in answers if each == said), "")


def _written(
    sitting: Sitting, texts: Sequence[Text], most: int, allowed: Sequence[Sequence[str]]
) -> list[str]:
    """What a model of ours says."""
    tasks, meant = [], []
    for text, answers in zip(texts, allowed, strict=True):
        prompt = shared.put(sitting, text.user, text.earlier)
        bound = {tuple(shared.said(sitting, each)): each for each in answers}
        needed = max(map(len, bound), default=most)
        shared.fits(sitting, text.id, len(prompt) + needed, "what may be written")
        tasks.append(
            Task(
                prompt=tuple(prompt),
                most=needed,
                temperature=text.temperature,
                seed=text.seed,
                allowed=tuple(bound),
            )
        )
        meant.append(bound)
    plain = sitting.tokenizer.chat_template is None or not sitting.template
    stops = {*prompts.stop(sitting.tokenizer, template=sitting.template)[:1]}
    if sitting.tokenizer.eos_token_id is not None:
        stops.add(sitting.tokenizer.eos_token_id)
    until = (NEXT,) if plain else ()
    seconds: list[float] = []
    written = generate(
        sitting.network, sitting.tokenizer, tasks, stops=stops, until=until, seconds=seconds
    )
    tokens = [len(task.prompt) + len(ids) for task, ids in zip(tasks, written, strict=True)]
    times.spent([text.id for text in texts], seconds, tokens)
    said = []
    for ids, bound in zip(written, meant, strict=True):
        if bound:
            said.append(bound[tuple(ids)])
            continue
        free = sitting.tokenizer.decode(ids, skip_special_tokens=True)
        said.append((free.partition(NEXT)[0] if plain else free).strip())
    return said
