"""prompts: how a question is put to a model, the same in training and in evaluation.

    prompt(tokenizer, ask(question, "shown")) + reply(tokenizer, answer(question, [0, 2]))

Prompt and reply are tokenised apart and joined as ids. Joined as text, a tokenizer may merge the
end of the one with the start of the other, and then the ids scored in evaluation would not be the
ids learned in training. Text from outside is tokenised as text only: a question that spells out
`<|im_end|>` does not end its own turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from jinja2 import TemplateError

from residency.records import Question
from residency.section import Complaint

SLOT = "\ue000question\ue001"
TOLD = "\ue000answer\ue001"
"""Where texts go in a chat template; in Unicode's private use, so that no system turn says them."""
NOTHING = "None."
"""What is said where no proposition is true."""
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


def propose(question: Question, index: int) -> str:
    """The user's message about one proposition by itself."""
    return f"{question.asked}\n{question.options[index]}\n(True or false?)"


def lessons(
    question: Question, options: Literal["shown", "hidden", "each"], *, explain: bool
) -> list[tuple[str, str]]:
    """What is to be learned from a question: user messages, each with its right answer.

    Propositions are judged one by one, and so is each option of a choice where `options` is "each";
    a progressive question is put as its form; an open one has its reference for an answer, or else
    its explanation. With `explain` the explanation is asked for, and follows the answer, where
    there is one; of what is judged one by one it is about all together, and left out. Empty where
    the record says nothing that is right.
    """
    if question.kind == "progressive":
        if question.form in (None, "progressive"):
            return []
        question = replace(question, kind=question.form, form=None)
    if question.kind == "propositions" or (options == "each" and question.kind in ASKED):
        right = set(question.answers)
        return [
            (propose(question, index), "True" if index in right else "False")
            for index in range(len(question.options))
        ]
    asked, told = whole(question, options)
    explanation = question.explanation
    if question.kind == "open" and not question.reference:
        told, explanation = explanation, ""
    if not told:
        return []
    if explain and explanation:
        return [(f"{asked}\n(Explain your answer.)", f"{told}\n\n{explanation}")]
    return [(asked, told)]


def whole(question: Question, options: Literal["shown", "hidden", "each"]) -> tuple[str, str]:
    """A question with its right answer in one turn, as later ones of its case find it told."""
    if (question.form or question.kind) == "open":
        return ask(question, "hidden"), question.reference
    if (question.form or question.kind) == "propositions":
        return ask(question, "shown"), answer(question, question.answers) or NOTHING
    shown = "shown" if options == "each" else options
    return ask(question, shown), answer(question, question.answers)


def after(question: Question, before: Question | None) -> Question:
    """A question of a case, its text left out where the one before it told the same."""
    again = before is not None and before.context == question.context
    return replace(question, context="") if again else question


def prompt(
    tokenizer: Any,
    user: str,
    system: str | None,
    *,
    earlier: Sequence[tuple[str, str | list[int]]] = (),
    template: bool = True,
) -> list[int]:
    """Ids of everything up to where the assistant's answer starts.

    `system`: what the system turn says; None leaves it to the chat template, which may put one of
    its own. `earlier`: the conversation before, as user messages with their answers, which may be
    the ids that a model wrote. `template`: whether the chat template is used.

    Without it, and where a model has none, questions are asked in the plain form
    "Question: ...\\nAnswer:".
    """
    if tokenizer.chat_template is None or not template:
        told = f"Question:{SLOT}\nAnswer:{SLOT}\n\n" * len(earlier)
        form = f"{told}Question:{SLOT}\nAnswer:"
        before, space = opening(tokenizer), " "  # which belongs to the word behind it
    else:
        form = _render(tokenizer, system, SLOT, earlier=[(SLOT, SLOT)] * len(earlier))
        before, space = [], ""
    around = form.split(SLOT)
    texts = [*(text for turn in earlier for text in turn), user]
    if len(around) != len(texts) + 1:
        raise Complaint(
            f"{tokenizer.name_or_path}: its chat template shows the user's message "
            f"{len(around) - 1} times, expected once; adopt a model with another template"
            if not earlier
            else f"{tokenizer.name_or_path}: its chat template shows {len(around) - 1} of "
            f"{len(texts)} messages; ask without examples and earlier answers, or set template to "
            "false"
        )
    ids = before + _ids(tokenizer, around[0])
    for text, after in zip(texts, around[1:], strict=True):
        ids += text_ids(tokenizer, space + text) if isinstance(text, str) else text
        ids += _ids(tokenizer, after)
    return ids


def reply(tokenizer: Any, assistant: str, *, template: bool = True) -> list[int]:
    """Ids of the assistant's answer and of what stops it."""
    if tokenizer.chat_template is None or not template:
        return [*text_ids(tokenizer, " " + assistant), *stop(tokenizer, template=template)]
    return [*text_ids(tokenizer, assistant), *stop(tokenizer)]


def stop(tokenizer: Any, *, template: bool = True) -> list[int]:
    """What the chat template puts after an assistant's turn; else the end-of-text token."""
    after = ""
    if tokenizer.chat_template is not None and template:
        after = _render(tokenizer, None, "?", SLOT).rpartition(SLOT)[2].strip()
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


def check_template(tokenizer: Any, system: str | None) -> None:
    """Raise Complaint for a chat template by which answers cannot be learned and asked alike.

    The prompt must be how a conversation begins, the answer must be in it, and what follows the
    answer must be a token that stops it.
    """
    folder = Path(tokenizer.name_or_path)
    file = folder / "chat_template.jinja"
    place = file if file.is_file() else folder / "tokenizer_config.json"
    if tokenizer.chat_template is None:
        raise Complaint(
            f"{folder}: its tokenizer has no chat template, expected one in {file.name} or in "
            "tokenizer_config.json: set pack.template to false to learn the plain form, 'Question: "
            "... Answer:', or start from a model with one"
        )
    prompt(tokenizer, "?", system)  # complains where the question is not shown once
    asked = _render(tokenizer, system, SLOT)
    whole = _render(tokenizer, system, SLOT, TOLD)
    cure = "mend it, or start from a model with another"
    if whole.count(TOLD) != 1:
        raise Complaint(
            f"{place}: this chat template shows the assistant's answer {whole.count(TOLD)} times, "
            f"expected once, or nothing could be learned; {cure}"
        )
    before, _, after = whole.partition(TOLD)
    unopened = asked == _render(tokenizer, system, SLOT, generation=False)
    if not before.startswith(asked.rstrip()) or (unopened and before.rstrip() != asked.rstrip()):
        raise Complaint(
            f"{place}: by this chat template a prompt to be answered is {asked!r}, but an answer "
            f"stands behind {before!r}; expected the one to begin the other, with the answer's "
            f"opening where add_generation_prompt is true; {cure}"
        )
    known = tokenizer.added_tokens_decoder
    special = {number for number, token in known.items() if token.special}
    if not {tokenizer.eos_token_id, *special} & set(_ids(tokenizer, after.strip())[:1]):
        raise Complaint(
            f"{place}: by this chat template {after!r} follows an answer, expected a special token "
            f"such as {tokenizer.eos_token!r} first, or the model would never learn to stop; {cure}"
        )


def _render(
    tokenizer: Any,
    system: str | None,
    user: str,
    assistant: str | None = None,
    *,
    earlier: Sequence[tuple[str, str]] = (),
    generation: bool = True,
) -> str:
    """The chat template around a user's message; to be answered, or with the assistant's."""
    turns = [] if system is None else [{"role": "system", "content": system}]
    for asked, answered in earlier:
        turns.append({"role": "user", "content": asked})
        turns.append({"role": "assistant", "content": answered})
    turns.append({"role": "user", "content": user})
    if assistant is not None:
        turns.append({"role": "assistant", "content": assistant})
    try:
        rendered: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=generation and assistant is None
        )
    except TemplateError as error:
        raise Complaint(
            f"{tokenizer.name_or_path}: its chat template refuses the conversation ({error}); "
            "if it takes no system turn, set system to null"
        ) from None
    return rendered
