"""prompts: how a question is put to a model, the same in training and in evaluation.

    prompt(tokenizer, ask(question, "shown")) + reply(tokenizer, answer(question, [0, 2]))

Prompt and reply are tokenised apart and joined as ids. Joined as text, a tokenizer may merge the
end of the one with the start of the other, and then the ids scored in evaluation would not be the
ids learned in training. Text from outside is tokenised as text only: a question that spells out
`<|im_end|>` does not end its own turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from jinja2 import TemplateError

from residency.records import Question
from residency.section import Complaint

SLOT = "RESIDENCY"
ASKED = ("single", "multiple", "judgement")
"""Kinds of question that `ask` and `answer` can put; a judgement is put as a single one."""


def ask(question: Question, options: Literal["shown", "hidden"]) -> str:
    """The user's message: context, stem, the options by letter where shown, and what is asked."""
    lines = [question.asked]
    if options == "shown":
        lines += [f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(question.options)]
    if question.kind == "multiple":
        lines.append("(Several answers may be right.)")
    return "\n".join(lines)


def answer(question: Question, indexes: Iterable[int]) -> str:
    """The options of these indexes as the assistant would answer, in the order of the options."""
    return "; ".join(question.options[index] for index in sorted(set(indexes)))


def prompt(tokenizer: Any, user: str, system: str | None) -> list[int]:
    """Ids of everything up to where the assistant's answer starts.

    `system`: what the system turn says; None leaves it to the chat template, which may put one of
    its own.

    Models without a chat template are asked in the plain form "Question: ...\\nAnswer:".
    """
    if tokenizer.chat_template is None:
        form = f"Question: {SLOT}\nAnswer:"
        before = opening(tokenizer)
    else:
        form = _render(tokenizer, system)
        before = []
    around = form.split(SLOT)
    if len(around) != 2:
        raise Complaint(
            f"{tokenizer.name_or_path}: its chat template shows the user's message "
            f"{len(around) - 1} times, expected once; adopt a model with another template"
        )
    head, tail = around
    return before + _ids(tokenizer, head) + text_ids(tokenizer, user) + _ids(tokenizer, tail)


def reply(tokenizer: Any, assistant: str) -> list[int]:
    """Ids of the assistant's answer and of what stops it."""
    if tokenizer.chat_template is None:
        return [*text_ids(tokenizer, " " + assistant), *stop(tokenizer)]
    return [*text_ids(tokenizer, assistant), *stop(tokenizer)]


def stop(tokenizer: Any) -> list[int]:
    """What the chat template puts after an assistant's turn; else the end-of-text token."""
    after = ""
    if tokenizer.chat_template is not None:
        after = _render(tokenizer, None, assistant=SLOT).rpartition(SLOT)[2].strip()
    return _ids(tokenizer, after) or [tokenizer.eos_token_id]


def opening(tokenizer: Any) -> list[int]:
    """The begin-of-text token where the tokenizer itself puts one, else nothing."""
    ids = tokenizer("a")["input_ids"]
    return ids[:1] if ids[:1] == [tokenizer.bos_token_id] else []


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of plain text, in which nothing is a special token."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, split_special_tokens=True)[
        "input_ids"
    ]
    return ids


def _ids(tokenizer: Any, markup: str) -> list[int]:
    ids: list[int] = tokenizer(markup, add_special_tokens=False, split_special_tokens=False)[
        "input_ids"
    ]
    return ids


def _render(tokenizer: Any, system: str | None, assistant: str | None = None) -> str:
    """The chat template around SLOT: as the user's message, or as the assistant's."""
    turns = [] if system is None else [{"role": "system", "content": system}]
    turns.append({"role": "user", "content": SLOT if assistant is None else "?"})
    if assistant is not None:
        turns.append({"role": "assistant", "content": assistant})
    try:
        rendered: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=assistant is None
        )
    except TemplateError as error:
        raise Complaint(
            f"{tokenizer.name_or_path}: its chat template refuses the conversation ({error}); "
            "if it takes no system turn, set system to null"
        ) from None
    return rendered
