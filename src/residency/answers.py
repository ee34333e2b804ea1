"""answers: what a model replies to requests, whoever runs it: one interface.

    requests ── within the budget? ── in the store? ─────────────────────┐
                                        └── else an endpoint, or a model ┴─> replies, in their order
                                            of ours

A model is a folder of build/models. One with endpoint.json is served elsewhere and asked over the
network (residency.endpoint); any other is in Hugging Face layout and runs here (residency.local).
What was once answered is in the store (residency.replies) and never asked or paid again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from residency import replies, served
from residency.replies import Answer
from residency.served import Price

SHOWN = 300
"""Characters of a server's words in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that shapes a reply, but for the model."""

    system: str  # empty: none is sent
    user: str
    schema: dict[str, Any] | None  # the reply is JSON of this JSON schema; None: plain text
    temperature: float | None  # 0 takes the likeliest token; None leaves it to the server
    max_tokens: int  # of the reply
    seed: int
    earlier: tuple[tuple[str, str], ...] = ()  # the conversation before: what was asked and said


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said."""

    text: str  # never holds half a surrogate pair
    prompt_tokens: int
    reply_tokens: int
    estimated: bool  # the server told no tokens; these are from above
    finish: str  # stop: it ended by itself; length: at max_tokens; else as the server says
    key: str  # sha256 of the model's identity and the request
    model: str  # as the server named it
    asked_at: str  # UTC, ISO 8601
    seconds: float
    cost: float | None  # by the declared price, in its currency; None where there is no price


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A request that the model will not answer: a countable reason, and the server's words."""

    reason: str
    detail: str
    key: str
    said: Reply | None = None  # where a reply tells so, which is paid like any other


@dataclass(frozen=True, slots=True)
class Cost:
    """What a reply takes, or may take at most."""

    tokens: int  # of prompt and reply together
    money: Decimal


NOTHING = Cost(0, Decimal(0))


@dataclass(slots=True, kw_only=True)
class Budget:
    """What may be spent, and what is; shared by the calls of one step, whatever the models.

    A reply found in the store is charged like a new one, so that what is answered never depends
    on what was stored; the same request is charged once. Money is exact, in the currency of the
    models' prices: sums do not depend on the order of arrival.
    """

    money: Decimal | None = None
    tokens: int | None = None  # of prompts and replies together
    spent_money: Decimal = Decimal(0)
    spent_tokens: int = 0
    stopped: bool = False  # a request did not fit
    charged: set[str] = field(default_factory=set)  # keys of requests
    _held_money: Decimal = Decimal(0)  # the most that requests under way may cost
    _held_tokens: int = 0
    _held: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._held == 0

    def fits(self, most: Cost) -> bool:
        """Whether a request may be sent now, with those under way at their most."""
        money = self.spent_money + self._held_money + most.money
        tokens = self.spent_tokens + self._held_tokens + most.tokens
        return (self.money is None or money <= self.money) and (
            self.tokens is None or tokens <= self.tokens
        )

    def hold(self, most: Cost) -> None:
        """A request is under way."""
        self._held += 1
        self._held_money += most.money
        self._held_tokens += most.tokens

    def settle(self, most: Cost, actual: Cost) -> None:
        """A request that was under way has cost this."""
        self._held -= 1
        self._held_money -= most.money
        self._held_tokens -= most.tokens
        self.spent_money += actual.money
        self.spent_tokens += actual.tokens


def ask(model: Path, requests: Sequence[Request], budget: Budget) -> list[Reply | Refused | None]:
    """The replies to `requests`, in their order; None from where the budget ends.

    Request k is answered only if what those before it cost, and the most that it can cost, are
    within the budget: which ones are does not depend on how many are under way at once, nor on
    what is stored. `budget.stopped` says that one did not fit; another call may have smaller ones.

    Raises Complaint where the model cannot be asked at all; what was answered is stored then.
    """
    from residency import endpoint, local

    found = served.endpoint(model)
    if found:
        answered = endpoint.answered(found, requests, budget, replies.store())
        return list(_told(answered, len(requests), found.price))
    return list(
        _told(local.answered(model, requests, budget, replies.store()), len(requests), None)
    )


def _told(
    answered: Sequence[Answer | Refused], asked: int, price: Price | None
) -> Iterator[Reply | Refused | None]:
    for each in answered:
        yield each if isinstance(each, Refused) else _judged(reply(each, price))
    for _ in range(asked - len(answered)):
        yield None


def _judged(said: Reply) -> Reply | Refused:
    """A reply, or what it says where the model would not answer."""
    if said.finish in ("refusal", "content_filter"):
        reason = "refused by the model" if said.finish == "refusal" else "content filter"
        return Refused(reason=reason, detail=said.text[:SHOWN], key=said.key, said=said)
    return said


def reply(answer: Answer, price: Price | None) -> Reply:
    """A stored answer with what it cost."""
    return Reply(
        text=answer.text,
        prompt_tokens=answer.prompt_tokens,
        reply_tokens=answer.reply_tokens,
        estimated=answer.estimated,
        finish=answer.finish,
        key=answer.key,
        model=answer.model,
        asked_at=answer.asked_at,
        seconds=answer.seconds,
        cost=float(cost(answer.prompt_tokens, answer.reply_tokens, price).money) if price else None,
    )


def cost(prompt_tokens: int, reply_tokens: int, price: Price | None) -> Cost:
    """What so many tokens take, exactly."""
    money = Decimal(0)
    if price:
        prompt, told = Decimal(str(price.prompt)), Decimal(str(price.reply))
        money = (prompt * prompt_tokens + told * reply_tokens) / 1_000_000
    return Cost(prompt_tokens + reply_tokens, money)


def identified(identity: Mapping[str, Any]) -> str:
    """A model's identity in 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def key(of: str, request: Request) -> str:
    """The sha256 of all that shapes a reply; a schema's keys are written in its own order."""
    shaping: list[Any] = [request.system, request.user, request.schema, request.temperature]
    shaping += [request.max_tokens, request.seed]
    shaping += [request.earlier] if request.earlier else []
    return hashlib.sha256(json.dumps([of, *shaping]).encode()).hexdigest()


_FENCED = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL)


def object_of(**properties: Any) -> dict[str, Any]:
    """The JSON schema of an object with these properties, each required, and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def loads(text: str) -> Any:
    """The JSON of a reply, also within a code fence; raises ValueError.

    llama.cpp's grammars let line breaks and tabs into strings, which JSON does not.
    """
    fenced = _FENCED.fullmatch(text.strip())
    try:
        return json.loads(fenced[1] if fenced else text, strict=False)
    except RecursionError:
        raise ValueError("nested too deep") from None


_SURROGATE = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """The text with surrogate pairs joined, and halves of one replaced by U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
