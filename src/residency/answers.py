"""answers: what a model replies to requests, whoever runs it: one interface.

    requests ── in the store? ──────────────────────────────────────┐
        └── within the budget? ── an endpoint, or a model of ours ──┴─> replies, in the same order

A model is a folder of build/models. One with endpoint.json is served elsewhere and asked over the
network (residency.endpoint); any other is in Hugging Face layout and runs here (residency.local).
What was once answered is in the store (residency.replies) and never asked or paid again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that shapes a reply, but for the model."""

    system: str
    user: str
    schema: dict[str, Any] | None  # the reply is JSON of this JSON schema; None: plain text
    temperature: float | None  # 0 takes the likeliest token; None leaves it to the server
    max_tokens: int  # of the reply
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said."""

    text: str  # never holds half a surrogate pair
    prompt_tokens: int
    reply_tokens: int
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


@dataclass(slots=True, kw_only=True)
class Budget:
    """What may be spent, and what is; shared by the calls of one step, whatever the models.

    A reply found in the store is charged like a new one, so that what is answered never depends
    on what was stored; the same request is charged once.
    """

    money: Decimal | None = None  # in the currency of the models' prices
    tokens: int | None = None  # of prompts and replies together
    spent_money: Decimal = Decimal(0)
    spent_tokens: int = 0
    stopped: bool = False  # a request did not fit
    charged: set[str] = field(default_factory=set)  # keys


def ask(
    model: Path, requests: Sequence[Request], budget: Budget
) -> list[Reply | Refused | None]:
    """The replies to `requests`, in their order; None from where the budget ends.

    Request k is asked only if what 1..k-1 cost, and the most that k can, are within the budget:
    which ones are does not depend on how many are under way at once.

    Raises Complaint where the model cannot be asked at all; what was answered is stored then.
    """
    raise NotImplementedError
