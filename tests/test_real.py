"""Real books and exams of many formats, ingested, examined and cleaned by one declaration."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from project import REPOSITORY, Project, real_project

from residency.files import read_json, read_rows
from residency.records import documents, questions

DATA = REPOSITORY.parent / "shared/data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason="needs the real books in ../shared/data"),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = real_project(tmp_path_factory.mktemp("real") / "project", DATA)
    project.snakemake(*texts(project))
    return project


def texts(project: Project) -> list[str]:
    """The artifacts of all corpora and exams."""
    params = project.params()
    return [f"build/{kind}/{name}" for kind in ("corpora", "exams") for name in params[kind]]


def test_every_file_and_row_is_accounted_for(real: Project) -> None:
    for name in real.params()["sources"]:
        build = real.root / "build/documents" / name
        counts = read_json(build / "counts.json")
        ledger = Counter(row["reason"] for row in read_rows(build / "rejected.jsonl"))
        assert ledger == counts["rejected"]
        assert counts["kept"]["documents"] == len(list(documents(build))) > 0
    for name in real.params()["exams"]:
        counts = read_json(real.root / "build/exams" / name / "counts.json")
        assert counts["rows"] == sum(counts["kept"].values()) + sum(counts["rejected"].values()) > 0


def test_only_the_locked_file_is_unreadable(real: Project) -> None:
    unread = {
        Path(row["id"]).name: row["reason"]
        for path in sorted((real.root / "build/documents").glob("*/rejected.jsonl"))
        for row in read_rows(path)
        if row["reason"] in ("encrypted", "unparsable", "unknown format", "failed", "timed out")
    }
    assert unread == {"libreoffice-writer-password.pdf": "encrypted"}


def test_the_exercises_of_the_textbook_are_an_exam_and_not_in_the_corpus(real: Project) -> None:
    exam = real.root / "build/exams/openstax"
    keyed = [
        question
        for split in ("train", "dev", "test")
        for question in questions(exam / f"{split}.jsonl")
        if question.options
    ]
    assert len(keyed) == 714
    corpus = "\n".join(each.text for each in documents(real.root / "build/corpora/english"))
    folded = " ".join(corpus.split())
    assert len(folded) > 3_000_000
    long = [question for question in keyed if len(question.stem) > 60]
    assert len(long) > 200
    assert [question.id for question in long if " ".join(question.stem.split()) in folded] == []


def test_no_metadata_or_licence_reaches_a_corpus(real: Project) -> None:
    params = real.params()
    for corpus in params["corpora"]:
        for document in documents(real.root / "build/corpora" / corpus):
            lowered = document.text.lower()
            assert "project gutenberg" not in lowered
            assert "<" not in document.section
            assert "m46844" not in lowered
            assert document.source in params["sources"]
            assert document.sha256
            assert document.licence


def test_both_tools_agree_on_what_was_built(real: Project) -> None:
    built = {name for name in real.stages() if not name.startswith(("adopt", "report"))}
    assert not built & real.changed()
