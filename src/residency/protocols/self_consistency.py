"""self_consistency: several answers are drawn, and most of them decide.

Wang et al. 2023, "Self-Consistency Improves Chain of Thought Reasoning in Language Models", arXiv
2203.11171, section 2, the unweighted sum. Each sample's chance comes from the seed, the question's
id and the sample's number alone. Texts that cannot be read do not vote; of answers with as many
votes the one drawn first is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from residency.prompts import ASKED
from residency.protocols import generate
from residency.protocols import sitting as shared
from residency.protocols.parsing import parse
from residency.protocols.sitting import (
    Budget,
    Most,
    Of,
    Options,
    Precision,
    Shots,
    Sitting,
    System,
    Template,
)
from residency.protocols.writing import Text, write
from residency.records import Question
from residency.section import Section, Seed

ASKS = ASKED


class SelfConsistency(Section):
    """The answer that most of several drawn texts give."""

    kind: Literal["self_consistency"] = Field(description="The protocol's name.")
    version: shared.Version
    samples: int = Field(ge=2, description="How many texts are drawn for a question.")
    temperature: Annotated[float, Field(gt=0)] = Field(description="By which logits are divided.")
    seed: Seed = Field(description="Seed of what is drawn.")
    reason: bool = Field(description="Whether reasons are asked for before the answer.")
    of: Of
    options: Options
    most_tokens: Most
    system: System
    template: Template
    few_shot: Shots
    precision: Precision
    budget: Budget

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed(self.of, self.options, self.template, self.system)
        return self


def sit(
    protocol: SelfConsistency, sitting: Sitting, asked: Sequence[Question]
) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    users = [generate.user(protocol, each) for each in asked]
    texts = [
        Text(
            id=question.id,
            user=user,
            temperature=protocol.temperature,
            seed=f"{protocol.seed}:{question.id}:{number}",
        )
        for question, user in zip(asked, users, strict=True)
        for number in range(protocol.samples)
    ]
    said = iter(write(sitting, texts, protocol.most_tokens))
    found = []
    for question, user in zip(asked, users, strict=True):
        own = [next(said) for _ in range(protocol.samples)]
        answers = [parse(text, question, protocol.of) for text in own]
        answer, votes = majority(answers)
        samples = [{"said": s, "answer": a} for s, a in zip(own, answers, strict=True)]
        confidence = round(votes / protocol.samples, 6)
        row = {"prompt": user, "samples": samples, "answer": answer, "confidence": confidence}
        found.append(row)
    return found


def example(protocol: SelfConsistency, question: Question) -> list[tuple[str, str]]:
    """As of `generate`."""
    return generate.example(protocol, question)


def majority(answers: Sequence[tuple[int, ...] | None]) -> tuple[tuple[int, ...] | None, int]:
    """The most frequent answer that could be read, the first of equals, and its votes."""
    votes = Counter(each for each in answers if each is not None)
    if not votes:
        return None, 0
    answer = max(votes, key=lambda each: votes[each])  # a Counter keeps the order of first sight
    return answer, votes[answer]


def scores(_asked: Sequence[Question], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many of all samples could not be read."""
    samples = [each for row in rows for each in row["samples"]]
    unparsed = sum(each["answer"] is None for each in samples)
    return {"samples": {"drawn": len(samples), "unparsed": unparsed}}
