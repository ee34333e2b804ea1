"""asked: what one step asked of models, what it cost, and what it may cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from residency import served
from residency.answers import Budget, Refused, Reply, Request, ask
from residency.section import Section


class Spend(Section):
    """What models may cost."""

    money: float | None = Field(
        gt=0, description="In the currency of the models' prices; null for any."
    )
    tokens: int | None = Field(ge=1, description="Of prompts and replies together; null for any.")

    @model_validator(mode="after")
    def _of_something(self) -> Spend:
        if self.money is None and self.tokens is None:
            raise ValueError("bounds neither money nor tokens; set budget to null")
        return self


def budget(spend: Spend | None) -> Budget:
    """A declared budget, of which nothing is spent yet."""
    return Budget(
        money=Decimal(str(spend.money)) if spend and spend.money is not None else None,
        tokens=spend.tokens if spend else None,
    )


@dataclass(slots=True)
class Asked:
    """What was asked of models, and what it cost."""

    budget: Budget
    currency: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)  # of replies.jsonl
    refused: int = 0

    def ask(
        self,
        model: Path,
        requests: Sequence[Request],
        about: Sequence[str],
        told: Iterable[Mapping[str, Any]],
    ) -> list[Reply | Refused | None]:
        """The replies; `about`: what each request is for, `told`: what else its row says."""
        found = served.endpoint(model)
        if found and found.price:
            self.currency = found.price.currency
        replies = ask(model, requests, self.budget)
        for reply, request, name, more in zip(replies, requests, about, told, strict=True):
            if reply is None:
                continue
            row = {"about": name, "asked": model.name, "key": reply.key, "seed": request.seed}
            row |= more
            if isinstance(reply, Refused):
                self.refused += 1
                row |= {"refused": reply.reason, "detail": reply.detail}
            said = reply.said if isinstance(reply, Refused) else reply
            names = ("model", "prompt_tokens", "reply_tokens", "finish", "cost", "asked_at")
            row |= {key: getattr(said, key) for key in (*names, "seconds")} if said else {}
            self.rows.append(row)
        return replies

    def told(self) -> dict[str, Any]:
        """What it came to."""
        paid = any(row.get("cost") is not None for row in self.rows)
        return {
            "requests": len(self.rows),
            "refused": self.refused,
            "prompt_tokens": sum(row.get("prompt_tokens", 0) for row in self.rows),
            "reply_tokens": sum(row.get("reply_tokens", 0) for row in self.rows),
            "money": round(float(self.budget.spent_money), 6) if paid else None,
            "currency": self.currency,
        }
