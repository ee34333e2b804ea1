"""law-small: a subject of its own through code that knows no subject."""

from __future__ import annotations

import ast
import re
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
SUBJECT = re.compile(
    r"medic|clinic|patient|physician|doctor|nurse|disease|symptom|syndrome|diagnos|therap|surg"
    r"|drug|pharma|hospital|anatom|biolog|drake",
    re.IGNORECASE,
)
PUBLISHED = ("adapters/", "published.yaml")  # names of exams and of what was said of them


@pytest.fixture(scope="module")
def law() -> declaration.Declaration:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        return declaration.load(Path("recipes/law-small.yaml"), raw=False)


@pytest.fixture(scope="module")
def code(law: declaration.Declaration, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    out = tmp_path_factory.mktemp("code")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        ingest(law.sources["code"], "code", out)
    return [word for document in documents(out) for word in words(document.text)]


@pytest.fixture(scope="module")
def bar(
    law: declaration.Declaration, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Question]]:
    out = tmp_path_factory.mktemp("bar")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        examine(law.exams["bar"], out)
    return {split: list(questions(out / f"{split}.jsonl")) for split in ["train", "dev", "test"]}


def test_the_code_is_invented_says_so_and_comes_in_three_formats(code: list[str]) -> None:
    paths = files(REPOSITORY / "recipes/law-small/code")
    assert 6 <= len(paths) <= 8
    assert {path.suffix for path in paths} == {".txt", ".md", ".html"}
    assert 5_000 <= len(code) <= 8_000
    for path in paths:
        text = " ".join(path.read_text().casefold().split())
        assert "invented" in text, path
        assert "legal advice" in text, path


def test_page_furniture_is_no_text_of_the_code(code: list[str]) -> None:
    told = " ".join(code)
    assert "home contact" not in told
    assert "printed for the harbour office" not in told


def test_answers_are_balanced_and_not_told_by_their_length(bar: dict[str, list[Question]]) -> None:
    asked = [question for split in bar.values() for question in split]
    assert len(asked) >= 150
    assert len({question.stem for question in asked}) == len(asked)
    right, wrong = [], []
    for split in bar.values():
        places = Counter(question.answers for question in split)
        assert len(places) == 4
        assert all(0.2 <= count / len(split) <= 0.3 for count in places.values())
        guessed = [max(question.options, key=len) for question in split]
        hits = sum(
            q.options[q.answers[0]] == guess for q, guess in zip(split, guessed, strict=True)
        )
        assert hits / len(split) < 0.4
        for question in split:
            for index, option in enumerate(question.options):
                (right if index in question.answers else wrong).append(len(option))
    assert 0.9 <= (sum(right) / len(right)) / (sum(wrong) / len(wrong)) <= 1.1


def test_what_is_asked_is_in_the_code_and_not_copied_from_it(
    code: list[str], bar: dict[str, list[Question]]
) -> None:
    runs = {tuple(code[i : i + RUN]) for i in range(len(code))}
    text = f" {' '.join(code)} "
    for question in (each for split in bar.values() for each in split):
        for part in [question.stem, *question.options]:
            told = words(part)
            assert not any(tuple(told[i : i + RUN]) in runs for i in range(len(told) - RUN + 1))
        (right,) = question.answers
        assert f" {' '.join(words(question.options[right]))} " in text, question.id


def test_no_code_knows_a_subject() -> None:
    """Docstrings may take examples from one; names, messages, word lists and templates do not."""
    source = REPOSITORY / "src/residency"
    read = 0
    for path in sorted(source.rglob("*")):
        place = path.relative_to(source).as_posix()
        if path.suffix not in {".py", ".jinja", ".js", ".css"} or place.startswith(PUBLISHED):
            continue
        text = path.read_text()
        if path.suffix == ".py":
            text = undocumented(text)
        found = SUBJECT.search(text)
        assert not found, f"{place}: {text[max(0, found.start() - 40) : found.end() + 40]!r}"
        read += 1
    assert read > 100


def undocumented(text: str) -> str:
    """A module's code without docstrings and comments."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def is_text(node: ast.stmt) -> bool:
    """A docstring of a module, class, function or constant."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
