"""likelihood: the candidate answer that is most probable after the question is chosen.

    question ── ask ──> prompt ─┬─> reply "aorta"      log p = -3.1
                                ├─> reply "vena cava"  log p = -2.4   <- chosen
                                └─> ...

A candidate's log-likelihood is that of its whole reply, the stop token included: the model gives it
for saying this and no more. Without it "A" could never be less likely than "A; B".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency.prompts import ASKED
from residency.protocols import sitting as shared
from residency.protocols.sitting import Of, Options, Precision, Shots, Sitting, System, Template
from residency.records import Question
from residency.section import Section

ASKS = ASKED
NEUTRAL = ""  # what is asked where a reply's probability is wanted without a question


class Likelihood(Section):
    """Each candidate answer is scored by its log-likelihood after the question; the best is chosen.

    A question with several right answers has every non-empty set of options as candidates.
    """

    kind: Literal["likelihood"] = Field(description="The protocol's name.")
    version: shared.Version
    of: Of
    options: Options
    normalise: Literal["none", "tokens", "characters", "unconditional"] = Field(
        description="What a candidate's log-likelihood is divided by; or, unconditional, what is "
        "taken off: that of the same reply where nothing is asked (Holtzman et al. 2021)."
    )
    system: System
    template: Template
    few_shot: Shots
    precision: Precision

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed(self.of, self.options, self.template, self.system)
        return self


def sit(protocol: Likelihood, sitting: Sitting, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    users = [shared.ask(each, protocol.options, protocol.of) for each in asked]
    rated = rate(protocol, sitting, asked, [shared.put(sitting, user) for user in users])
    return [
        {
            "prompt": user,
            "candidates": rows,
            "answer": best(rows)["options"],
            "confidence": confidence(rows),
        }
        for user, rows in zip(users, rated, strict=True)
    ]


def example(protocol: Likelihood, question: Question) -> list[tuple[str, str]]:
    """A question shown with its answer."""
    return [shared.shown(question, protocol.options, protocol.of)]


def rate(
    protocol: Any, sitting: Sitting, asked: Sequence[Question], prompts: Sequence[list[int]]
) -> list[list[dict[str, Any]]]:
    """The candidates of each question, scored after its prompt.

    `protocol`: anything with `of` and `normalise`.
    """
    texts = [
        [shared.told(each, one, protocol.of) for one in shared.candidates(each)] for each in asked
    ]
    replies = {text: shared.said(sitting, text) for some in texts for text in some}
    ids = [each.id for each in asked]
    scored = shared.score(
        sitting,
        ids,
        [
            (prompt, [replies[text] for text in some])
            for prompt, some in zip(prompts, texts, strict=True)
        ],
    )
    unasked: dict[str, float] = {}
    if protocol.normalise == "unconditional":
        neutral = shared.put(sitting, NEUTRAL)
        (values,) = shared.score(sitting, ids[:1], [(neutral, list(replies.values()))])
        unasked = dict(zip(replies, values, strict=True))
    found = []
    for question, some, values in zip(asked, texts, scored, strict=True):
        rows: list[dict[str, Any]] = []
        for one, text, logprob in zip(shared.candidates(question), some, values, strict=True):
            row = {"options": one, "logprob": logprob, "tokens": len(replies[text])}
            if unasked:
                row |= {"unconditional": unasked[text], "score": round(logprob - unasked[text], 4)}
            else:
                length = {"none": 1, "tokens": len(replies[text]), "characters": len(text)}
                row["score"] = round(logprob / length[protocol.normalise], 6)
            rows.append(row)
        found.append(rows)
    return found


def best(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The candidate with the highest score; of equally good ones the first."""
    return max(rows, key=lambda row: row["score"])


def confidence(rows: Sequence[dict[str, Any]]) -> float:
    """The chosen candidate's share where scores are taken for log-probabilities (softmax)."""
    top = best(rows)["score"]
    return round(1 / sum(math.exp(row["score"] - top) for row in rows), 6)
