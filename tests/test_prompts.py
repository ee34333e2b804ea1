from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_model

from residency.prompts import answer, ask, check_template, lessons, prompt, reply, stop
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


def test_a_system_turn_may_say_anything(tokenizer: Any) -> None:
    system = "You sit the RESIDENCY entrance exam. It is ANSWERED by letter."
    turns = [{"role": "system", "content": system}, {"role": "user", "content": "RESIDENCY?"}]
    own = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert prompt(tokenizer, "RESIDENCY?", system) == own
    check_template(tokenizer, system)


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


def taught(question: Question, *, explain: bool = False) -> list[tuple[str, str]]:
    return lessons(question, "shown", explain=explain)


@pytest.mark.parametrize("kind", ["single", "multiple", "judgement"])
def test_a_choice_is_learned_as_it_is_asked(kind: Any) -> None:
    question = replace(QUESTION, kind=kind)
    assert taught(question) == [(ask(question, "shown"), "The kidney")]


def test_each_proposition_is_judged_by_itself() -> None:
    question = replace(QUESTION, kind="propositions", answers=(0, 2), explanation="Because.")
    assert taught(question, explain=True) == [
        (f"{question.asked}\nThe heart\n(True or false?)", "True"),
        (f"{question.asked}\nThe kidney\n(True or false?)", "False"),
        (f"{question.asked}\nThe lung\n(True or false?)", "True"),
    ]
    assert [told for _, told in taught(replace(question, answers=()))] == ["False"] * 3


def test_an_open_question_has_its_reference_for_an_answer_or_else_its_explanation() -> None:
    bare = replace(QUESTION, kind="open", options=(), answers=())
    assert taught(replace(bare, reference="Kidneys.")) == [(bare.asked, "Kidneys.")]
    assert taught(replace(bare, explanation="Renal."), explain=True) == [(bare.asked, "Renal.")]
    assert taught(bare) == []


@pytest.mark.parametrize("form", ["single", "propositions", "open"])
def test_a_progressive_question_is_learned_as_its_form(form: Any) -> None:
    plain = replace(QUESTION, kind=form, reference="Kidneys.")
    case = replace(plain, kind="progressive", form=form, facts=("A man of 60.",), order=2)
    assert taught(case) == taught(plain) != []


def test_a_progressive_question_of_no_form_teaches_nothing() -> None:
    assert taught(replace(QUESTION, kind="progressive")) == []


def test_an_explanation_is_asked_for_and_follows_the_answer_where_there_is_one() -> None:
    question = replace(QUESTION, explanation="It filters.")
    ((user, told),) = taught(question, explain=True)
    assert user == f"{ask(question, 'shown')}\n(Explain your answer.)"
    assert told == "The kidney\n\nIt filters."
    assert taught(question) == taught(QUESTION, explain=True) == taught(QUESTION)


def test_a_question_without_a_right_answer_teaches_nothing() -> None:
    assert taught(replace(QUESTION, answers=())) == []


def test_a_template_that_asks_and_answers_alike_is_taken(tokenizer: Any) -> None:
    check_template(tokenizer, None)
    check_template(tokenizer, "Be brief.")


TURNS = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
OPENED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
BROKEN = {
    # The answer is left out: all that could be learned is masked.
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}"
    "<|im_end|>{% endfor %}": "shows the assistant's answer 0 times, expected once",
    TURNS + "{{ m['content'] }}<|im_end|>\n{% endfor %}": "user's message 2 times",
    # What opens an answer is not how answers open.
    TURNS + "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}": "<|im_start|>model",
    # Nothing opens an answer.
    TURNS + "<|im_end|>\n{% endfor %}": "opening where add_generation_prompt is true",
    # Nothing stops an answer, or a word does.
    TURNS + "{% endfor %}" + OPENED: "never learn to stop",
    TURNS + "\nEND\n{% endfor %}" + OPENED: "found? no: 'END' follows",
}
BROKEN[TURNS + "\nEND\n{% endfor %}" + OPENED] = r"'\nEND\n' follows an answer"


@pytest.mark.parametrize(("template", "message"), BROKEN.items())
def test_a_template_that_cannot_be_learned_by_is_named(
    tokenizer: Any, folder: Path, template: str, message: str
) -> None:
    tokenizer.chat_template = template
    with pytest.raises(Complaint) as complaint:
        check_template(tokenizer, None)
    told = str(complaint.value)
    assert message in told
    assert str(folder) in told
    assert "another" in told  # the cure


def test_a_template_is_named_by_its_file(tokenizer: Any, folder: Path) -> None:
    tokenizer.chat_template = TURNS + "{% endfor %}" + OPENED
    with pytest.raises(Complaint) as complaint:
        check_template(tokenizer, None)
    assert (folder / "chat_template.jinja").is_file()
    assert str(complaint.value).startswith(f"{folder / 'chat_template.jinja'}: ")


def test_without_a_template_the_plain_form_is_the_cure(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(Complaint, match=r"no chat template.*template to false"):
        check_template(tokenizer, None)
