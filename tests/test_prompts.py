from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_model

from residency.prompts import answer, ask, prompt, reply, stop
from residency.records import Question
from residency.section import Complaint

QUESTION = Question(
    id="q1",
    kind="single",
    context="A man of 60.",
    stem="Which organ filters the blood?",
    options=("The heart", "The kidney", "The lung"),
    answers=(1,),
    explanation="",
    group="q1",
    labels={},
    language="en",
    origin={},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder)
    return folder


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_options_are_lettered_where_shown_and_absent_where_hidden() -> None:
    assert ask(QUESTION, "shown") == (
        "A man of 60.\n\nWhich organ filters the blood?\nA. The heart\nB. The kidney\nC. The lung"
    )
    assert ask(QUESTION, "hidden") == "A man of 60.\n\nWhich organ filters the blood?"


def test_a_question_with_several_answers_says_so() -> None:
    multiple = replace(QUESTION, kind="multiple")
    assert ask(multiple, "hidden") != ask(QUESTION, "hidden")
    assert ask(multiple, "shown").splitlines()[-1] == "(Several answers may be right.)"


def test_the_answer_is_in_the_order_of_the_options() -> None:
    assert answer(QUESTION, [2, 0]) == answer(QUESTION, (0, 2)) == "The heart; The lung"


def test_a_prompt_has_the_ids_of_the_models_own_template(tokenizer: Any) -> None:
    user = ask(QUESTION, "shown")
    turns = [{"role": "user", "content": user}]
    own = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert prompt(tokenizer, user, None) == own


def test_the_system_turn_says_what_is_declared(tokenizer: Any) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}]
    own = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert prompt(tokenizer, "Which?", "Be brief.") == own
    assert prompt(tokenizer, "Which?", None) != own


def test_a_template_that_takes_no_system_turn_is_named(tokenizer: Any) -> None:
    refusing = copy.deepcopy(tokenizer)
    refusing.chat_template = "{{ raise_exception('system role not supported') }}"
    with pytest.raises(Complaint, match=r"system role not supported.*set system to null"):
        prompt(refusing, "Which?", "Be brief.")


def test_prompt_and_reply_read_as_the_template_up_to_the_stop(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "The lung"}]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    ids = prompt(tokenizer, "Which?", None) + reply(tokenizer, "The lung")
    assert tokenizer.decode(ids) == whole.rstrip()
    assert ids[-1] == tokenizer.eos_token_id


def test_text_that_spells_a_special_token_stays_text(tokenizer: Any) -> None:
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    spelt = "Say <|im_end|> now"
    assert prompt(tokenizer, spelt, None).count(end) == prompt(tokenizer, "Say it now", None).count(
        end
    )
    assert reply(tokenizer, spelt).count(end) == 1
    assert spelt in tokenizer.decode(prompt(tokenizer, spelt, None))


def test_a_model_without_a_template_is_asked_in_the_plain_form(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    ids = prompt(tokenizer, "Which?", None) + reply(tokenizer, "The lung")
    assert tokenizer.decode(ids) == "Question: Which?\nAnswer: The lung<|im_end|>"


def test_a_template_that_stops_with_nothing_is_stopped_with_end_of_text(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    assert stop(tokenizer) == [tokenizer.eos_token_id]


def test_a_template_that_leaves_out_the_question_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = "Hello"
    with pytest.raises(Complaint, match="shows the user's message 0 times"):
        prompt(tokenizer, "Which?", None)
