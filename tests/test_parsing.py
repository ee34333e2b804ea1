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
        ("**Answer:** B", (1,)),
        ("Answer: **(B)**", (1,)),
        ("Answer: B because it is the heart.", (1,)),
        ("The answer is (B).", (1,)),
        ("Answer: B. The answer is therefore clear.", (1,)),
        ("答案：B。", (1,)),
        ("答案为B因为肺", (1,)),
        ("La réponse est la suivante : B", None),
        ("Answer: B\nIt is not the liver.", (1,)),
        ("Answer: A or B", None),
        ("B sincerely", None),
        ("", None),
        ("E", None),
        ("A or B", None),
        ("It is the liver or blood.", None),
        ("I do not know.", None),
        ("A heart is an organ", None),
    ],
)
def test_one_answer_is_read_by_the_rules(text: str, answer: tuple[int, ...] | None) -> None:
    assert parse(text, SINGLE, "text") == answer


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
    assert parse(text, several(0), "text") == answer


def test_a_judgement_is_read_from_its_first_word() -> None:
    judged = question(0, kind="judgement", options=("yes", "no", "maybe"))
    assert parse("No, there is no sign of it. Maybe later.", judged, "text") == (1,)
    assert parse("Nothing is known.", judged, "text") is None


def test_chinese_options_are_found_inside_a_sentence() -> None:
    asked = question(0, options=("心脏", "肝脏"))
    assert parse("应该是肝脏。", asked, "text") == (1,)


GROUPS = question(0, options=("B", "O", "A", "AB"))


@pytest.mark.parametrize(
    ("text", "of", "answer"),
    [
        ("B", "text", (0,)),
        ("B", "letter", (1,)),
        ("Answer: A", "text", (2,)),
        ("Answer: A", "letter", (0,)),
        ("**Answer:** O.", "text", (1,)),
        ("AB, which is rare", "text", (3,)),
        ("D", "text", (3,)),
        ("A. B", "text", (0,)),
        ("(B) O", "text", (1,)),
        ("The patient has group O.", "text", (1,)),
        ("Answer: B because there is no A.", "text", (0,)),
        ("A rare group", "text", None),
        ("It is A or B.", "text", None),
        ("It is a rare group", "text", None),
        ("E", "text", None),
    ],
)
def test_options_that_are_letters_are_read_as_what_was_to_be_answered(
    text: str, of: str, answer: tuple[int, ...] | None
) -> None:
    assert parse(text, GROUPS, of) == answer


def test_several_options_that_are_letters_are_read_as_their_texts() -> None:
    asked = question(0, kind="multiple", options=("B", "O", "A", "AB"), answers=(0, 2))
    assert parse("B; A", asked, "text") == (0, 2)
    assert parse("A; AB", asked, "text") == (2, 3)
    assert parse("A; B", asked, "letter") == (0, 1)


def test_an_option_that_begins_with_a_letter_is_not_that_letter() -> None:
    asked = question(0, options=("T cells", "Mast cells", "B cells"))
    assert parse("Answer: B cells", asked, "text") == (2,)
    assert parse("Answer: B because of them", asked, "letter") == (1,)
