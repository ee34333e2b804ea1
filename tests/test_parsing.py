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


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The correct answer is: B", (1,)),
        ("Therefore, the answer is: B.", (1,)),
        ("The answer is: (B)", (1,)),
        ("The best answer is **B**.", (1,)),
        ("The correct answer is option B", (1,)),
        ("The correct option is B.", (1,)),
        ("The answer is B (the heart and lungs).", (1,)),
        ("Final answer: B", (1,)),
        ("### Answer\n\nB", (1,)),
        ("Answer: $B$", (1,)),
        ("Answer: [B]", (1,)),
        ("answer: b", (1,)),
        ("Answer: B, a common vessel", (1,)),
        ("Answer: B, since A is wrong", (1,)),
        ("Answer: B, not A", (1,)),
        ("B)", (1,)),
        ("**B**", (1,)),
        ("Option B", (1,)),
        ("Option B is correct.", (1,)),
        ("B is the correct answer.", (1,)),
        (r"\boxed{B}", (1,)),
        (r"A pumps, so D is out. $\boxed{\text{C}}$.", (2,)),
        (r"The final answer is $\boxed{B}$.", (1,)),
        ("A is tempting, B is too. Let us think.\nAnswer: C", (2,)),
        ("B. No, wait: the liver.\nThe correct answer is: D", (3,)),
        ("The answer is not B. The answer is C.", (2,)),
        ("It is the heart, not the liver.", (0,)),
        ("Answer: B\n\nAnswer:", (1,)),
        ("La réponse est : B", (1,)),
        ("La bonne réponse est la B.", (1,)),
        ("La réponse correcte est (B).", (1,)),
        ("Réponse : B, car A est faux", (1,)),
        ("Réponse : B parce que le foie", (1,)),
        ("Die Antwort lautet: B", (1,)),
        ("Die richtige Antwort ist B.", (1,)),
        ("Antwort: B, weil es so ist", (1,)),
        ("Antwort B ist richtig.", (1,)),
        ("La respuesta es: B", (1,)),
        ("La respuesta correcta es la B.", (1,)),
        ("La opción correcta es B", (1,)),
        ("正确答案是：B", (1,)),
        ("答案选B。", (1,)),
        ("A错误，B错误，故选C。", (2,)),
        ("B。应选用的药物是C", (1,)),
        ("答案：（B）", (1,)),
        ("答案是B选项。", (1,)),
        ("Answer: A, C", None),
        ("Answer: A and C", None),
        ("Answer: A, or B", None),
        ("(A) or (B)", None),
        ("Answer: either A or B", None),
        ("Answer: A (or B)", None),
        ("Réponse : A ou B", None),
        ("Antwort: A oder B", None),
        ("Respuesta: A o B", None),
        ("答案：A或B", None),
        ("答案：AB", None),
        ("Answer: not B", None),
        ("Not B.", None),
        ("The answer is not B", None),
        ("The answer is not the liver", None),
        ("Die Antwort ist nicht B", None),
        ("答案不是B", None),
        ("B is wrong.", None),
        ("B: incorrect. C: correct.", None),
        ("(B) is not right", None),
        ("Option B needs blood or the liver", None),
        (r"\boxed{A} or \boxed{B}", None),
    ],
)
def test_common_phrasings_of_one_answer_are_read(text: str, answer: tuple[int, ...] | None) -> None:
    assert parse(text, SINGLE, "letter") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: A, B, and C", (0, 1, 2)),
        ("Answer: A, and C", (0, 2)),
        ("Réponse : A, B, et D", (0, 1, 3)),
        ("Antwort: A, B und D", (0, 1, 3)),
        ("Respuesta: A, B y D", (0, 1, 3)),
        ("Answer: A, C only", (0, 2)),
        ("Answer: A, C are right", (0, 2)),
        ("Answer: A, C, E (the others are wrong)", (0, 2, 4)),
        ("Answer: A, C, because B is wrong", (0, 2)),
        ("Answer: A (the heart) and C (blood)", (0, 2)),
        ("Answers: A; C", (0, 2)),
        ("The correct answers are: A, C", (0, 2)),
        ("The correct answers are both A and C.", (0, 2)),
        ("Les réponses sont A, C et E.", (0, 2, 4)),
        ("Las respuestas correctas son A y C", (0, 2)),
        ("Die Antworten sind A und C", (0, 2)),
        ("Options A and C are correct.", (0, 2)),
        ("答案：ABD", (0, 1, 3)),
        ("正确答案为ABD。因为", (0, 1, 3)),
        ("答案：A、B、D", (0, 1, 3)),
        ("答案是A和C", (0, 2)),
        ("ABD", (0, 1, 3)),
        ("ABD.", (0, 1, 3)),
        ("Answer: AC", (0, 2)),
        ("Answer: A C", (0, 2)),
        ("Answer:\nA. the heart\nC. blood", (0, 2)),
        ("- A\n- C", (0, 2)),
        ("A. the heart; C. blood", (0, 2)),
        (r"\boxed{A, C}", (0, 2)),
        (r"\boxed{A}, \boxed{C}", (0, 2)),
        ("the heart, blood and nerves", (0, 2, 4)),
        ("the heart; blood\n\nThe liver is no vessel.", (0, 2)),
        ("Answer: A, also C", None),
        ("Answer: A, as well as C", None),
        ("Answer: A, C, possibly E", None),
        ("Answer: A, C and perhaps E", None),
        ("Answer: A, B, the liver", None),
        ("Answer: A, B or C", None),
        ("A is correct. C is correct.", None),
        ("A. It pumps\nC. It flows", None),
        ("A (it pumps), C (it flows)", None),
        ("Answer: CAB", None),
        ("Answer: AA", None),
        ("Answer: AF", None),
        ("AC is a current", None),
        ("BE careful.", None),
        ("A current is AC.", None),
    ],
)
def test_several_answers_are_read_whole_or_not_at_all(
    text: str, answer: tuple[int, ...] | None
) -> None:
    assert parse(text, several(0), "letter") == answer


def test_capitals_that_are_a_word_of_an_option_are_no_letters() -> None:
    options = ("ECG", "ACE inhibitors", "AC", "heat", "DE")
    asked = question(0, kind="multiple", options=options, answers=(0, 2))
    for of in ("text", "letter"):
        assert parse("AC", asked, of) == (2,)
        assert parse("Answer: ACE", asked, of) is None
        assert parse("Answer: ECG; AC", asked, of) == (0, 2)
        assert parse("Answer: ACD", asked, of) == (0, 2, 3)
