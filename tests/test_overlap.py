"""Runs of words that give an exam question away are found, and common ones are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.overlap import fingerprints, shared, words
from residency.records import Question


def question(stem: str, *options: str, context: str = "", explanation: str = "") -> Question:
    return Question(
        id="q1",
        kind="single",
        context=context,
        stem=stem,
        options=options or ("this", "that"),
        answers=(0,),
        explanation=explanation,
        group="q1",
        labels={},
        language="en",
        origin={},
    )


def found(text: str, ngram: int, *asked: Question) -> str | None:
    return shared(text, fingerprints(asked, ngram), ngram)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Gap: ____ (H₂O), Straße", ["gap", "h2o", "strasse"]),
        ("ＡＢＣ肝炎Bです", ["abc", "肝", "炎", "b", "で", "す"]),
        ("간염은 병이다", ["간염은", "병이다"]),
    ],
)
def test_words_are_folded_and_chinese_characters_are_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_a_long_run_of_the_stem_gives_a_question_away() -> None:
    asked = question("Which organ makes the white fluid called glowmilk?")
    run = found("He asked WHICH organ, makes the (white) fluid.", 6, asked)
    assert run == "which organ makes the white fluid"
    assert fingerprints([asked], 6)[run] == "q1"
    assert found("He asked which organ makes the fluid.", 6, asked) is None


def test_a_stem_followed_by_an_option_gives_a_question_away() -> None:
    asked = question("The heart is", "a pump of four chambers", "a lung")
    assert found("We know the heart is a pump.", 5, asked) == "the heart is a pump"


def test_a_case_gives_a_question_away() -> None:
    asked = question("What now?", context="Bramble has coughed for nine days")
    assert found("In March Bramble has coughed for nine days.", 6, asked)


def test_a_question_shorter_than_a_run_counts_whole() -> None:
    asked = question("Where does ivolasp come from?", "kelp")
    assert found("Where does ivolasp come from, again?", 8, asked) == "where does ivolasp come from"
    assert found("Capital of France: Paris", 8, question("Capital of France", "Paris"))


def test_an_unfinished_stem_and_a_pair_of_words_are_no_copy() -> None:
    assert found("Insulin is a hormone", 8, question("Insulin is", "bread")) is None
    assert found("Cholera toxin", 8, question("Cholera", "toxin")) is None


def test_an_explanation_may_quote_the_book() -> None:
    asked = question("Why does it glow?", explanation="the node makes glowmilk at night")
    assert found("the node makes glowmilk at night", 3, asked) is None


@given(st.lists(st.sampled_from("abcd"), min_size=6, max_size=30), st.data())
def test_any_run_cut_out_of_a_question_is_found(stem: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(stem) - 5))
    text = f"x {' '.join(stem[start : start + 5])} y"
    assert found(text, 5, question(" ".join(stem))) == " ".join(stem[start : start + 5])
