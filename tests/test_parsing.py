from __future__ import annotations

import pytest
from test_evaluate import question, several

from residency.protocols.parsing import parse

SINGLE = question(0, options=("The heart", "The heart and lungs", "The liver", "Blood"))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", (1,)),
        ("(C)", (2,)),
        ("b. the heart and lungs", (1,)),
        ("D: blood", (3,)),
        ("The heart", (0,)),
        ("the  HEART and lungs.", (1,)),
        ("It must be the liver, since it stores sugar.", (2,)),
        ("The heart pumps it. So it is clear.\nAnswer: C", (2,)),
        ("Answer: A\nOn second thought, answer: blood", (3,)),
        ("答案是B", (1,)),
        ("先看选项。答案：C。", (2,)),
        ("答案是：D，因为如此", (3,)),
        ("Answer：B", (1,)),
        ("B：the heart and lungs", (1,)),
        ("Réponse : d", (3,)),
        ("", None),
        ("E", None),
        ("A or B", None),
        ("It is the liver or blood.", None),
        ("I do not know.", None),
        ("A heart is an organ", None),
    ],
)
def test_one_answer_is_read_by_the_rules(text: str, answer: tuple[int, ...] | None) -> None:
    assert parse(text, SINGLE) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A; C", (0, 2)),
        ("C, A and D", (0, 2, 3)),
        ("blood; the heart", (0, 2)),
        ("It is nerves and the heart and lungs", (1, 4)),
        ("Answer: (B), (E).", (1, 4)),
        ("答案：A，C；D。", (0, 2, 3)),
    ],
)
def test_several_answers_are_read_by_the_rules(text: str, answer: tuple[int, ...]) -> None:
    assert parse(text, several(0)) == answer


def test_a_judgement_is_read_from_its_first_word() -> None:
    judged = question(0, kind="judgement", options=("yes", "no", "maybe"))
    assert parse("No, there is no sign of it. Maybe later.", judged) == (1,)
    assert parse("Nothing is known.", judged) is None


def test_chinese_options_are_found_inside_a_sentence() -> None:
    asked = question(0, options=("心脏", "肝脏"))
    assert parse("应该是肝脏。", asked) == (1,)
