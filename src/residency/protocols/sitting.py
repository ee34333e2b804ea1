"""sitting: what the protocols share: their common keys, the candidate, and what is put to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import Field

from residency import prompts, times
from residency.answers import Refused, Reply, Request
from residency.asked import Spend
from residency.likelihoods import loglikelihoods
from residency.records import Question
from residency.section import Complaint, Section, Seed

MOST_OPTIONS = 8  # of a question with several right answers: 255 candidates

Version = Annotated[
    Literal[1], Field(description="Of the protocol; another way to ask or to read is another.")
]
Of = Annotated[
    Literal["text", "letter"], Field(description="What is answered: the option's text or letter.")
]
Options = Annotated[
    Literal["shown", "hidden"], Field(description="Whether the prompt lists the options.")
]
System = Annotated[
    str | None, Field(description="What the system turn says; null leaves it to the chat template.")
]
Template = Annotated[
    bool,
    Field(
        description="Whether the chat template is used, where the model has one; else the prompt "
        "is 'Question: ... Answer:'."
    ),
]
Precision = Annotated[
    Literal["float32", "bfloat16"],
    Field(
        description="Of the weights and what is computed with them; the output layer, which "
        "decides between close candidates, is always computed in float32."
    ),
]
Normalise = Annotated[
    Literal["none", "tokens", "characters"],
    Field(description="What a candidate's log-likelihood is divided by."),
]
By = Annotated[
    Literal["likelihood", "generation"],
    Field(
        description="Whether the likeliest of the allowed answers counts, or the one the model "
        "writes, which may be none but these; a served model can only write."
    ),
]
Most = Annotated[int, Field(ge=1, description="Tokens of a generated text.")]

Budget = Annotated[
    Spend | None,
    Field(description="What each served model may cost, or it has no score; null for anything."),
]


class FewShot(Section):
    """Examples put before each question: questions of the exam's train split, with answers."""

    count: int = Field(ge=1, description="How many.")
    seed: Seed = Field(description="Seed of their choice.")


Shots = Annotated[
    FewShot | None, Field(description="Examples from the train split; null shows none.")
]


Ask = Callable[[Sequence[Request], Sequence[str]], list[Reply | Refused]]
"""Gives the replies to requests, each about a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """A model that sits an exam, and what all its prompts have in common."""

    network: Any  # None where the model is served
    tokenizer: Any  # likewise
    system: str | None
    template: bool
    examples: tuple[tuple[str, str], ...] = ()
    ask: Ask | None = None  # how a served model is asked


def agreed(of: str, options: str, template: bool, system: str | None) -> None:
    """For validators: keys that cannot stand together."""
    if of == "letter" and options == "hidden":
        raise ValueError("options: shown where letters are answered, found hidden")
    if not template and system:
        raise ValueError("system: null or empty where template is false: there is no system turn")


def divided(by: str, normalise: str) -> None:
    """For validators: what is divided is a likelihood."""
    if by == "generation" and normalise != "none":
        raise ValueError(f"normalise: none where by is generation, found {normalise}")


def put(sitting: Sitting, user: str, earlier: Sequence[tuple[str, str]] = ()) -> list[int]:
    """Ids of a prompt: the examples, the conversation before, and what is asked now."""
    return prompts.prompt(
        sitting.tokenizer,
        user,
        sitting.system,
        earlier=[*sitting.examples, *earlier],
        template=sitting.template,
    )


def said(sitting: Sitting, text: str) -> list[int]:
    """Ids of an answer, with what stops it."""
    return prompts.reply(sitting.tokenizer, text, template=sitting.template)


def score(
    sitting: Sitting, ids: Sequence[str], asked: Sequence[tuple[list[int], list[list[int]]]]
) -> list[list[float]]:
    """Log-likelihoods of the replies to each prompt, in nats.

    They are rounded to what sums of float32 hold whatever runs beside, so that a choice can be
    repeated from the row alone. `ids`: the question of each prompt, for the Complaint where one
    is longer than the model's context.
    """
    for id, (prompt, replies) in zip(ids, asked, strict=True):
        fits(sitting, id, len(prompt) + max(map(len, replies)), "its longest answer")
    seconds: list[float] = []
    found = loglikelihoods(sitting.network, asked, seconds=seconds)
    times.spent(ids, seconds, [len(prompt) + sum(map(len, said)) for prompt, said in asked])
    return [[round(each, 4) for each in values] for values in found]


def fits(sitting: Sitting, id: str, needed: int, beside: str) -> None:
    """Raise Complaint where a question needs more tokens than the model's context has."""
    context = getattr(sitting.network.config, "max_position_embeddings", None) or needed
    if needed > context:
        raise Complaint(
            f"question {id!r} takes {needed} tokens with {beside}, expected at most the model's "
            f"{context}; leave it out of the raw exam or evaluate another model"
        )


def ask(question: Question, options: Literal["shown", "hidden"], of: str) -> str:
    """The user's message, with what to answer where it is letters."""
    if of == "text":
        return prompts.ask(question, options)
    several = " of every right option, such as A; C" if question.kind == "multiple" else ""
    plain = prompts.ask(replace(question, kind="single"), options)
    return f"{plain}\n(Answer with the letter{several}.)"


def candidates(question: Question) -> list[tuple[int, ...]]:
    """What may be answered, as indexes of options: each alone, or every non-empty set of them."""
    indexes = range(len(question.options))
    largest = len(question.options) if question.kind == "multiple" else 1
    return [each for size in range(1, largest + 1) for each in combinations(indexes, size)]


def told(question: Question, indexes: Iterable[int], of: str) -> str:
    """An answer as it is said: the options' texts or letters, in their order."""
    if of == "text":
        return prompts.answer(question, indexes)
    return "; ".join(letter(index) for index in sorted(set(indexes)))


def shown(question: Question, options: Literal["shown", "hidden"], of: str) -> tuple[str, str]:
    """A question as it is asked, with its right answer."""
    return ask(question, options, of), told(question, question.answers, of)


def letter(index: int) -> str:
    """A for the first option."""
    return chr(ord("A") + index)


def chosen(questions: Sequence[Question], few_shot: FewShot) -> list[Question]:
    """The examples: those whose id and the seed give the smallest digests, in that order.

    Raises Complaint where there are too few.
    """
    if len(questions) < few_shot.count:
        raise Complaint(
            f"few_shot.count: {few_shot.count}, but the train split has {len(questions)} questions "
            "of a kind that is asked; show fewer, or none"
        )

    def digest(question: Question) -> bytes:
        return hashlib.sha256(f"{few_shot.seed}:{question.id}".encode()).digest()

    return sorted(questions, key=digest)[: few_shot.count]
