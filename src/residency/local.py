"""local: a model of ours answers requests on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from residency.answers import Budget, Refused, Request
from residency.replies import Answer, Store


def answered(
    model: Path, requests: Sequence[Request], budget: Budget, store: Store
) -> list[Answer | Refused]:
    """The answers to the requests from the first on, as far as the budget reaches."""
    raise NotImplementedError
