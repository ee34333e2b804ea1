"""The embedded default's texts: an invented primer, and exams that ask what it teaches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from project import REPOSITORY

from residency import declaration
from residency.examine import examine
from residency.ingest import ingest
from residency.records import Question, documents, questions
from residency.unpack import files
from residency.words import words

RUN = 7  # words in a row that would be a copy


@pytest.fixture(scope="module")
def primer(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    out = tmp_path_factory.mktemp("primer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        ingest(declaration.load(Path("params.yaml")).sources["primer"], "primer", out)
    return [word for document in documents(out) for word in words(document.text)]


@pytest.fixture(scope="module")
def exams(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[Question]]:
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        for name, exam in declaration.load(Path("params.yaml")).exams.items():
            out = tmp_path_factory.mktemp(name)
            examine(exam, out)
            for split in ["train", "dev", "test"]:
                found[name, split] = list(questions(out / f"{split}.jsonl"))
    return found


def test_the_primer_has_the_length_of_a_primer_in_three_formats(primer: list[str]) -> None:
    assert 8_000 <= len(primer) <= 15_000
    suffixes = {path.suffix for path in files(REPOSITORY / "data/raw/primer")}
    assert suffixes == {".txt", ".md", ".html"}


def test_the_general_text_is_long_enough_to_measure_on_and_names_nothing_of_the_primer() -> None:
    texts = [path.read_text() for path in files(REPOSITORY / "data/raw/everyday")]
    met = [word for text in texts for word in words(text)]
    assert len(texts) == 6
    assert 3_500 <= len(met) <= 5_000
    assert not {"drake", "drakes", "pellary", "glowmilk", "hatchlings", "keeper"} & set(met)


def test_every_text_says_that_it_is_invented() -> None:
    paths = files(REPOSITORY / "data/raw/primer")
    assert len(paths) >= 8
    for path in [*paths, REPOSITORY / "data/raw/README.md"]:
        text = path.read_text().casefold()
        assert "invented" in text, path
        assert "advice" in text, path


def test_the_boards_are_large_and_their_answers_balanced(
    exams: dict[tuple[str, str], list[Question]],
) -> None:
    boards = [exams["boards", split] for split in ["train", "dev", "test"]]
    assert sum(map(len, boards)) >= 300
    for split in boards:
        places = Counter(question.answers for question in split)
        assert len(places) == 4
        assert all(0.2 <= count / len(split) <= 0.3 for count in places.values())


def test_the_right_answer_cannot_be_told_by_its_length(
    exams: dict[tuple[str, str], list[Question]],
) -> None:
    asked = [question for split in exams.values() for question in split]
    right, wrong = [], []
    for question in asked:
        for index, option in enumerate(question.options):
            (right if index in question.answers else wrong).append(len(option))
    ratio = (sum(right) / len(right)) / (sum(wrong) / len(wrong))
    assert 0.9 <= ratio <= 1.1


def test_what_is_asked_is_in_the_primer_and_not_copied_from_it(
    primer: list[str], exams: dict[tuple[str, str], list[Question]]
) -> None:
    runs = {tuple(primer[i : i + RUN]) for i in range(len(primer))}
    text = f" {' '.join(primer)} "
    for question in (each for split in exams.values() for each in split):
        for part in [question.asked, question.explanation, *question.options]:
            told = words(part)
            assert not any(tuple(told[i : i + RUN]) in runs for i in range(len(told) - RUN + 1))
        for index in question.answers:
            assert f" {' '.join(words(question.options[index]))} " in text, question.id


def test_no_question_is_asked_in_two_splits(
    exams: dict[tuple[str, str], list[Question]],
) -> None:
    stems = Counter(question.asked for split in exams.values() for question in split)
    assert max(stems.values()) == 1
