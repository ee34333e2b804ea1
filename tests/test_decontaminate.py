"""Exams are found in texts and questions however they are dressed; what is only like them stays."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import leaks as labelled
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.decontaminate import Decontaminate, Leak, copied, fold, index, leaks, original
from residency.records import Question

BAR = 0.95

SECTION = Decontaminate(
    exams=[], splits=[], ngram=3, stem=0.5, options=0.6, same=0.7, alone=12, stretch=30
)

ORGAN = "Which organ of a drake makes the glowmilk?"
PARTS = ("the ambric node", "the left spleen", "the vessarine gland", "the hollow keel")
CASE = (
    "Bramble, a sledge drake from the north gallery, carries a diagnosis of morrel gleet, has "
    "coughed for nine nights and finished a course of lomperine last month."
)


LONG = f"{ORGAN[:-1]} that her keeper wipes from the crest scales every winter night?"


def open_(stem: str, reference: str, **rest: Any) -> Question:
    question = asked(stem, **rest)
    return replace(question, kind="open", options=(), answers=(), reference=reference)


def asked(stem: str, *options: str, id: str = "q1", **rest: Any) -> Question:
    return Question(
        id=id,
        kind="single",
        context=rest.get("context", ""),
        stem=stem,
        options=options or ("this", "that"),
        answers=rest.get("answers", (0,)),
        explanation=rest.get("explanation", ""),
        group=id,
        labels={},
        language="en",
        origin={},
    )


def found(text: str, *questions: Question, **changes: Any) -> list[Leak]:
    section = SECTION.model_copy(update=changes)
    return leaks(text.split("\n\n"), index(questions, section))


def places(found: list[Leak]) -> list[tuple[int, ...]]:
    return [leak.paragraphs for leak in found]


def test_a_stem_with_its_options_is_a_leak_and_both_sides_are_quoted() -> None:
    text = f"Drakes glow.\n\nAsk: {ORGAN} {'; '.join(PARTS)}. Well?\n\nThey are kept in galleries."
    (leak,) = found(text, asked(ORGAN, *PARTS))
    assert (leak.question, leak.what, leak.paragraphs) == ("q1", "stem and options", (1,))
    assert leak.score == 1
    assert leak.exam == " / ".join([ORGAN, *PARTS])
    assert leak.passage == f"{ORGAN} {'; '.join(PARTS)}".rstrip(".")
    assert leak.detail.startswith("q1: stem and options (1.00): exam “Which organ")


@pytest.mark.parametrize(
    "dressed",
    [
        f"{ORGAN.upper()} {' '.join(reversed(PARTS))}",
        f"“Which organ of a drake makes the glow-\nmilk？”（A）{'；（B）'.join(PARTS)}",
        f"Which organ of one drake makes the glowmilk? 1) {' 2) '.join(PARTS)}",
        f"Which organ of a drake\n\nmakes the glowmilk?\n\n{PARTS[0]}\n\n{PARTS[1]}\n\n{PARTS[2]}",
    ],
)
def test_dress_order_and_small_edits_hide_nothing(dressed: str) -> None:
    (leak,) = found(dressed, asked(ORGAN, *PARTS))
    assert leak.paragraphs == tuple(range(dressed.count("\n\n") + 1))


def test_a_book_may_state_the_fact_that_is_asked() -> None:
    fact = (
        "The organ of a drake that makes the glowmilk is the ambric node; the left spleen is not."
    )
    assert found(fact, asked(ORGAN, *PARTS)) == []


def test_a_short_stem_or_the_options_alone_are_no_leak() -> None:
    assert found(ORGAN, asked(ORGAN, *PARTS)) == []
    assert found(f"A drake has {', '.join(PARTS)}.", asked(ORGAN, *PARTS)) == []


def test_a_stem_long_enough_is_a_leak_by_itself() -> None:
    long = f"{ORGAN[:-1]} that her keeper wipes from the crest scales every winter night?"
    (leak,) = found(f"Think.\n\n{long}", asked(long, *PARTS))
    assert (leak.what, leak.paragraphs) == ("stem", (1,))
    assert found(long, asked(long, *PARTS), alone=30) == []


def test_words_in_another_order_are_not_a_stem() -> None:
    long = f"{ORGAN[:-1]} that her keeper wipes from the crest scales every winter night?"
    words = long.rstrip("?").split()
    turned = " ".join(" ".join(words[at : at + 3]) for at in range(len(words) - 3, -1, -3))
    assert found(turned, asked(long, *PARTS)) == []


def test_a_case_is_a_leak_without_what_is_asked_about_it() -> None:
    (leak,) = found(f"It rained.\n\n{CASE}", asked("What now?", *PARTS, context=CASE))
    assert (leak.what, leak.paragraphs) == ("case", (1,))


def test_a_stretch_of_an_explanation_is_a_leak_and_a_sentence_of_it_is_not() -> None:
    said = " ".join(f"step{n} follows upon measure{n} of vessel{n}." for n in range(20))
    question = asked("What now?", *PARTS, explanation=said)
    half = " ".join(said.split()[24:72])
    (leak,) = found(f"As is known, {half} And so on.", question)
    assert leak.what == "explanation"
    assert leak.exam.startswith("step4 follows")
    assert leak.exam.endswith("vessel11")
    assert found(" ".join(said.split()[24:48]), question) == []


def test_what_many_questions_share_does_not_count() -> None:
    opening = "A keeper of forty years brings a young drake from the north gallery with"
    exam = [
        asked(f"{opening} sign{n} and mark{n}. What is it?", *PARTS, id=f"q{n}") for n in range(40)
    ]
    assert found(f"{opening} a cold.", *exam) == []
    assert found(f"{opening} a cold.", exam[0])[0].what == "stem"


def test_only_the_paragraphs_that_take_part_are_named() -> None:
    text = (
        f"The node is near her crest.\n\n{ORGAN}\n\nA. {PARTS[0]}\n\nB. {PARTS[1]}\n\nC. {PARTS[3]}"
    )
    assert places(found(f"{text}\n\nA left spleen is small.", asked(ORGAN, *PARTS))) == [
        (1, 2, 3, 4)
    ]


def test_a_question_repeated_in_one_document_is_found_every_time() -> None:
    plant = f"{ORGAN} {'; '.join(PARTS)}"
    filler = "\n\n".join(f"Gallery {n} holds hay for the winter." for n in range(30))
    text = f"{plant}\n\n{filler}\n\n{plant}\n\n{filler}\n\n{plant}"
    assert places(found(text, asked(ORGAN, *PARTS))) == [(0,), (31,), (62,)]


def test_chinese_is_compared_by_characters_whatever_its_punctuation() -> None:
    stem, options = (
        "酶具有与一般催化剂不同的特点中不包括",
        ("极高的催化效率", "高度的特异性", "酶活性的不稳定性"),
    )
    (leak,) = found(
        f"略。{stem}: B.高度的特异性 A.极高的\n催化效率 C.酶活性的不稳定性.", asked(stem, *options)
    )
    assert (leak.what, leak.score) == ("stem and options", 1)
    assert found(f"酶是催化剂，{options[0]}是其特点。", asked(stem, *options)) == []


def test_french_is_found_without_its_accents() -> None:
    stem = "Quelle bactérie provoque une méningite à l'hôpital ?"
    options = ("Listeria monocytogenes", "Neisseria méningitidis", "Escherichia coli")
    plain = "Quelle bacterie provoque une meningite a l’hopital: " + ", ".join(options)
    assert found(plain.replace("é", "e"), asked(stem, *options))


@pytest.mark.parametrize(
    ("stem", "options", "answer", "leaks"),
    [
        (ORGAN, PARTS, 0, True),
        (ORGAN.replace("a drake", "the drake"), tuple(reversed(PARTS)), 3, True),
        (ORGAN, (PARTS[0], "a bell", "a rope", "a lamp"), 0, True),  # the answer is the same
        (ORGAN, ("a bell", "a rope", "a lamp", "a door"), 0, False),  # only the stem is
        ("Where does a keeper look for stram vapour first?", PARTS, 0, False),  # only the options
    ],
)
def test_a_question_leaks_if_stem_and_options_are_an_exams(
    stem: str, options: tuple[str, ...], answer: int, leaks: bool
) -> None:
    known = index([asked(ORGAN, *PARTS)], SECTION)
    leak = copied(asked(stem, *options, answers=(answer,)), known)
    assert (leak is not None) == leaks
    if leak:
        assert leak.question == "q1"
        assert leak.exam == f"{ORGAN} {' / '.join(PARTS)}"


CHOICE = asked(ORGAN, *PARTS)


@pytest.mark.parametrize(
    ("exam", "question", "what"),
    [
        (open_(LONG, "the node"), open_(LONG, "the node"), "stem"),
        (open_(LONG, "the node"), open_(LONG.replace("winter ", ""), "a gland near it"), "stem"),
        (open_(ORGAN, "the node"), open_(ORGAN, "a gland near her crest"), "stem"),
        (open_(ORGAN, "the node"), open_(ORGAN.replace("a drake", "her"), "The node."), "stem"),
        (open_(ORGAN, "the node"), open_(ORGAN.replace("glowmilk", "bile"), "a spleen"), None),
        (open_(ORGAN, ""), open_(ORGAN.replace("glowmilk", "bile"), ""), None),
        (open_("What now?", "Rest."), open_("What now?", "Rest."), None),  # too few words
        (open_("What now?", "Rest.", context=CASE), open_(f"{CASE} What now?", "Sleep."), "stem"),
        (open_(ORGAN, "the node"), CHOICE, "stem"),
        (open_(ORGAN, PARTS[0]), asked(ORGAN.replace("a drake", "her"), *PARTS), "stem"),
        (CHOICE, open_(ORGAN, f"{PARTS[0].capitalize()}."), "stem and options"),
        (CHOICE, open_(ORGAN, PARTS[1]), None),  # the right answer is another
    ],
)
def test_where_one_of_two_questions_is_open_its_answer_or_its_stem_alone_tells(
    exam: Question, question: Question, what: str | None
) -> None:
    leak = copied(question, index([exam], SECTION))
    assert (leak and leak.what) == what


def test_the_same_words_asked_of_another_case_are_no_leak() -> None:
    exam = asked("What ails this drake most likely?", *PARTS, context=CASE)
    other = "Thistle, a tower drake of two winters, has lost her appetite since the thaw began."
    known = index([exam], SECTION)
    assert copied(asked(exam.stem, *PARTS, context=CASE), known)
    assert copied(asked(f"{CASE} {exam.stem}", *PARTS), known)
    assert copied(asked(exam.stem, *PARTS, context=other), known) is None


def test_no_exam_and_no_text_are_no_leak() -> None:
    assert leaks(["Some text of a book."], index([], SECTION)) == []
    assert leaks([], index([asked(ORGAN, *PARTS)], SECTION)) == []
    assert leaks(["", "…"], index([asked("?", "!", "…")], SECTION)) == []
    assert copied(asked(ORGAN, *PARTS), index([], SECTION)) is None


def test_an_index_goes_to_another_process_and_decides_there_alike() -> None:
    known = index([asked(ORGAN, *PARTS)], SECTION)
    text = [f"{ORGAN} {'; '.join(PARTS)}"]
    assert leaks(text, pickle.loads(pickle.dumps(known))) == leaks(text, known)


@given(st.text(max_size=40), st.data())
def test_a_quotation_is_the_text_that_was_folded(text: str, data: st.DataObject) -> None:
    folded = "".join(fold(character) for character in text)
    start = data.draw(st.integers(0, len(folded)))
    end = data.draw(st.integers(start, len(folded)))
    quoted = original(text, start, end)
    assert quoted in text
    assert folded[start:end] in "".join(fold(character) for character in quoted)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12).map(" ".join), max_size=8))
def test_without_the_paragraphs_named_nothing_is_left(paragraphs: list[str]) -> None:
    exam = [asked("a b c d e", "f g h", "h g f"), asked("c d a b", "e", "f", id="q2")]
    known = index(exam, SECTION.model_copy(update={"alone": 4, "stretch": 5}))
    gone = {place for leak in leaks(paragraphs, known) for place in leak.paragraphs}
    left = [each for place, each in enumerate(paragraphs) if place not in gone]
    assert leaks(left, known) == []


def _precise(materials: list[labelled.Material], seed: int, count: int) -> labelled.Score:
    total = labelled.Score(labelled.Counter(), labelled.Counter())
    for material in materials:
        cases = labelled.planted(material, seed, count)
        total.add(labelled.scored(cases, labelled.ours(material, SECTION)))
    return total


def test_of_leaks_planted_in_the_default_texts_95_of_100_are_found_and_95_are_right() -> None:
    score = _precise(labelled.default(), seed=3, count=20)
    assert score.found + score.missed >= 200
    assert score.precision >= BAR, score.wrong
    assert score.recall >= BAR, score.wrong
    assert score.exact >= BAR * score.located


@pytest.mark.slow
@pytest.mark.skipif(not labelled.SHARED.is_dir(), reason="the real exams and books are not here")
def test_of_leaks_planted_in_real_books_95_of_100_are_found_and_95_are_right() -> None:
    pytest.importorskip("python_calamine")
    score = _precise(labelled.to_publish(), seed=7, count=15)
    assert score.found + score.missed >= 300
    assert sum((score.right + score.wrong).values()) - score.found - score.missed >= 300
    assert score.precision >= BAR, score.wrong
    assert score.recall >= BAR, score.wrong
    assert score.exact >= BAR * score.located


@pytest.mark.skipif(not labelled.SHARED.is_dir(), reason="the real exams and books are not here")
def test_stems_that_two_cmexam_splits_share_are_leaks_only_with_their_options() -> None:
    pytest.importorskip("python_calamine")
    test = labelled.cmexam_test()
    known = index(test, SECTION)
    stems = {each.stem: each for each in test}
    validation = [each for each in labelled.cmexam_validation() if each.stem in stems]
    assert len(validation) >= 5
    for each in validation:
        other = stems[each.stem]
        if set(each.options) == set(other.options):
            assert copied(each, known), each.stem
        elif not set(each.options) & set(other.options):
            assert copied(each, known) is None, each.stem


@pytest.mark.skipif(not labelled.SHARED.is_dir(), reason="the real exams and books are not here")
def test_a_textbook_is_kept_although_its_own_exercises_are_the_exam() -> None:
    exam, _, prose = labelled.openstax()
    known = index(exam, SECTION)
    gone = sum(len(leak.paragraphs) for each in prose.values() for leak in leaks(each, known))
    assert len(exam) > 700
    assert gone <= 0.002 * sum(map(len, prose.values()))
