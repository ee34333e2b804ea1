"""voc: Verification-of-Choice, our reading of it.

Li et al. 2023, "From Beginner to Expert: Modeling Medical Knowledge into General LLMs", arXiv
2312.01040, name it in their abstract and publish no prompts. Here, as we read it:

1. for each option by itself, the model argues as if it were the answer
2. it is shown all arguments, and checks them against each other and against the case
3. after what it said, it answers by letter; only letters of options are allowed

Every text is kept in the row: `arguments`, `check`, and the messages that led to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from residency import prompts
from residency.protocols import sitting as shared
from residency.protocols.sitting import Budget, Most, Precision, Sitting, System, Template, letter
from residency.protocols.writing import Text, write
from residency.records import Question
from residency.section import Section

ASKS = ("single", "judgement")
SUPPOSE = "(Suppose the answer is {}. {}. Argue for it from the case.)"
CHECK = "(Check these arguments against each other and against the case.)"
DECIDE = "(Which option survives? Answer with the letter.)"


class VoC(Section):
    """Verification-of-Choice: an argument for each option, a check of them all, an answer."""

    kind: Literal["voc"] = Field(description="The protocol's name.")
    version: shared.Version
    argument_tokens: Most
    check_tokens: Most
    system: System
    template: Template
    few_shot: None = Field(description="No examples: none has arguments.")
    precision: Precision
    budget: Budget

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        shared.agreed("letter", "shown", self.template, self.system)
        return self


def sit(protocol: VoC, sitting: Sitting, asked: Sequence[Question]) -> list[dict[str, Any]]:
    """What each question's row says beside the question itself."""
    suppose = [
        Text(id=question.id, user=supposed(question, index))
        for question in asked
        for index in range(len(question.options))
    ]
    argued = iter(write(sitting, suppose, protocol.argument_tokens))
    arguments = [[next(argued) for _ in question.options] for question in asked]
    users = [checked(each, some) for each, some in zip(asked, arguments, strict=True)]
    pairs = list(zip(asked, users, strict=True))
    checks = write(sitting, [Text(id=q.id, user=user) for q, user in pairs], protocol.check_tokens)
    said = write(
        sitting,
        [
            Text(id=question.id, user=DECIDE, earlier=((user, check),))
            for (question, user), check in zip(pairs, checks, strict=True)
        ],
        protocol.check_tokens,
        allowed=[[letter(i) for i in range(len(each.options))] for each in asked],
    )
    return [
        {
            "prompt": prompts.ask(question, "shown"),
            "arguments": some,
            "check_prompt": user,
            "check": check,
            "said": answer,
            "answer": (ord(answer) - ord("A"),) if answer else None,
        }
        for (question, user), some, check, answer in zip(
            pairs, arguments, checks, said, strict=True
        )
    ]


def supposed(question: Question, index: int) -> str:
    """The message that asks to argue for an option."""
    told = SUPPOSE.format(letter(index), question.options[index])
    return f"{prompts.ask(question, 'shown')}\n{told}"


def checked(question: Question, arguments: Sequence[str]) -> str:
    """The message that shows all arguments."""
    told = [f"For {letter(index)}: {each}" for index, each in enumerate(arguments)]
    return "\n".join([prompts.ask(question, "shown"), *told, CHECK])


def example(_protocol: VoC, _question: Question) -> list[tuple[str, str]]:
    """None can be shown."""
    return []
