"""Each published rule drops what it was made for, says why, and keeps what is on its bound."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from project import REPOSITORY
from ruamel.yaml import YAML

from residency import quality
from residency.quality import C4, FineWeb, Gopher, Problem, Repetition
from residency.tokens import Cutter, tokens

PUBLISHED = YAML(typ="safe").load(REPOSITORY / "docs/thresholds.yaml")["quality"]
PROSE = [
    "The heart is a muscle that pumps blood with each beat",
    "It lies between the lungs and is about as large as a fist",
    "Four chambers have to work together for this",
    "Valves keep the flow in one direction only",
    "Doctors listen to them with a stethoscope and write down what is heard.",
]
LINES = [f"{line.removesuffix('.')}." for line in PROSE]


def gopher(lines: Sequence[str], **other: Any) -> Problem | None:
    (cut,) = Cutter(tokens)([" ".join(lines).split()])
    rules = Gopher.model_validate({**PUBLISHED["gopher"], **other})
    (problem,) = quality.unlike_gopher(rules, [lines], cut)
    return problem


def repetition(*documents: Sequence[str]) -> list[Problem | None]:
    (cut,) = Cutter(tokens)(" ".join(lines).split() for lines in documents)
    return quality.repetitive(Repetition.model_validate(PUBLISHED["repetition"]), documents, cut)


def test_prose_passes_every_rule() -> None:
    assert gopher(LINES) is None
    assert repetition(LINES) == [None]
    c4 = C4.model_validate(PUBLISHED["c4"])
    assert [quality.unlike_c4(c4, line, len(line.split())) for line in LINES] == [None] * 5
    assert quality.page_unlike_c4(c4, LINES, map(tokens, LINES)) is None
    assert quality.unlike_fineweb(FineWeb.model_validate(PUBLISHED["fineweb"]), LINES, 60) is None


@pytest.mark.parametrize(
    ("lines", "other", "problem"),
    [
        (LINES[:2], {}, ("gopher few words", "24 words")),
        (LINES, {"max_words": 50}, ("gopher many words", "53 words")),
        (["a b c d e"] * 12, {}, ("gopher short words", "1.00 characters on average")),
        (["immunohistochemistry"] * 60, {}, ("gopher long words", "20.00 characters on average")),
        ([*LINES, "# " * 12], {}, ("gopher hash signs", "12 for 70 words")),
        ([*LINES, "so … " * 10], {}, ("gopher ellipses", "10 for 78 words")),
        ([f"- {line}" for line in LINES], {}, ("gopher bullets", "5 of 5 lines")),
        (
            [*LINES[:3], *(f"{x[:-1]}..." for x in LINES[3:])],
            {},
            ("gopher ellipsis lines", "2 of 5 lines"),
        ),
        ([*LINES, "1234 " * 20], {}, ("gopher few letters", "53 of 78 words with a letter")),
        (["heart muscle pumps blood"] * 13, {}, ("gopher stop words", "0 different ones")),
    ],
)
def test_gopher_drops_for_a_reason(
    lines: list[str], other: dict[str, Any], problem: Problem
) -> None:
    assert gopher(lines, **other) == problem


def test_gopher_works_on_chinese_with_thresholds_for_characters() -> None:
    chinese = {"min_words": 10, "min_mean_length": 1, "stop_words": ["的", "是", "不", "了"]}
    text = ["心是人体的泵。", "它不停地把血送到全身，左右各有两个腔。"]
    assert gopher(text, **chinese) is None
    assert gopher(text) == ("gopher few words", "23 words")
    assert gopher(["心肝脾肺肾"] * 3, **chinese) == ("gopher stop words", "0 different ones")


def test_repeated_lines_and_n_grams_are_dropped() -> None:
    found = repetition(
        [*LINES, *LINES[:3]],
        [*LINES, f"{LINES[0]} {LINES[1]}", f"{LINES[2]} {LINES[0]}"],
        [*LINES, "blood flow " * 30],
        LINES,
    )
    assert [each and each[0] for each in found] == [
        "repetition lines",
        "repetition 5-grams",
        "repetition top 2-gram",
        None,
    ]
    assert found[0] == ("repetition lines", "3 of 8 lines repeat an earlier one")


def test_no_document_that_a_repetition_rule_drops_slips_past_the_bounds_on_arrays() -> None:
    chance = random.Random(0)
    pool = [f"{'word' * (n % 4)}{n}" for n in range(90)]
    documents = []
    for _ in range(150):
        text = chance.choices(pool, k=chance.randrange(40, 120))
        place, size = chance.randrange(30), chance.randrange(1, 10)
        documents.append([" ".join(text), " ".join(text[place : place + size])])
    rules = Repetition.model_validate(PUBLISHED["repetition"])
    expected = []
    for lines in documents:
        found, size = tokens(" ".join(lines)), len("\n\n".join(lines))
        expected.append(
            quality.top_ngram(rules, found, size) or quality.duplicate_ngram(rules, found, size)
        )
    assert repetition(*documents) == expected
    assert 10 < sum(map(bool, expected)) < 140


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("No full stop at the end", ("c4 line end", "ends with 'at the end'")),
        ("It goes on and on...", ("c4 line end", "ends with ' and on...'")),
        ("Two words.", ("c4 few words", "2 words")),
        ("Please enable JavaScript to read this.", ("c4 phrase", "javascript")),
        (f"This is {'a' * 1001} long.", ("c4 long word", "1001 characters")),
    ],
)
def test_c4_drops_lines(line: str, problem: Problem) -> None:
    rules = C4.model_validate(PUBLISHED["c4"])
    assert quality.unlike_c4(rules, line, len(line.split())) == problem


def test_c4_drops_pages() -> None:
    rules = C4.model_validate(PUBLISHED["c4"])

    def page(*lines: str) -> Problem | None:
        return quality.page_unlike_c4(rules, lines, map(tokens, lines))

    assert page(*LINES, "Lorem ipsum dolor sit.") == ("c4 page phrase", "lorem ipsum")
    assert page(*LINES, "It says f() { here.") == ("c4 page phrase", "{")
    assert page(*LINES[:4]) == ("c4 few sentences", "4 sentences")
    assert page("One. Two! Three? Four. Five.") is None


def test_sentences_are_counted_past_abbreviations() -> None:
    assert quality.sentences(tokens('Dr. Smith went home. He said "no." And 3.5 g?')) == 3


def test_marks_of_citation_are_removed() -> None:
    assert quality.uncited("The liver[12] is large.[citation needed]") == "The liver is large."


@pytest.mark.parametrize(
    ("lines", "words", "problem"),
    [
        (["no end"] * 9 + ["An end."], 500, ("fineweb line ends", "1 of 10 lines")),
        (["Short."] * 3 + LINES[:1], 500, ("fineweb short lines", "3 of 4 lines")),
        ([*LINES, LINES[0]], 500, ("fineweb duplicate characters", "0.166 in repeated lines")),
        (LINES, 10, ("fineweb list", "5 lines of 10 words")),
    ],
)
def test_fineweb_drops_documents(lines: list[str], words: int, problem: Problem) -> None:
    rules = FineWeb.model_validate(PUBLISHED["fineweb"])
    assert quality.unlike_fineweb(rules, lines, words) == problem
