"""What is worth training on stays as it is; every drop has its reason; no exam gets through."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency import records
from residency.clean import Corpus, clean, normalised, repetition
from residency.files import read_json, read_rows, write_rows
from residency.overlap import fingerprints, shared
from residency.records import Document, Question
from residency.section import Complaint

FILTER = {"min_words": 3, "max_words": 12, "max_repetition": 0.3}


def corpus(unit: str = "paragraph", ngram: int = 5, **bounds: Any) -> Corpus:
    return Corpus.model_validate(
        {
            "sources": ["books"],
            "mojibake": "repair",
            "language": None,
            "boilerplate": None,
            "filter": {**FILTER, **bounds},
            "quality": {"repetition": None, "gopher": None, "c4": None, "fineweb": None},
            "deduplicate": {"unit": unit, "near": None},
            "decontaminate": {"exams": ["finals"], "splits": ["test"], "ngram": ngram},
        }
    )


def ingested(folder: Path, *texts: str) -> Path:
    folder.mkdir(parents=True)
    rows = (
        Document(
            id=f"{folder.name}#{n}",
            source="books",
            file="book.txt",
            sha256="0",
            section=("Title",),
            start=7,
            end=7 + len(text),
            language="en",
            licence="CC0-1.0",
            text=text,
        )
        for n, text in enumerate(texts, 1)
    )
    write_rows(folder / "documents.jsonl", rows)
    return folder


def sat(folder: Path, *stems: str) -> Path:
    rows = (
        Question(
            id=f"q{n}",
            kind="single",
            context="",
            stem=stem,
            options=("yes", "no"),
            answers=(0,),
            explanation="",
            group=f"q{n}",
            labels={},
            language="en",
            origin={},
        )
        for n, stem in enumerate(stems, 1)
    )
    path = folder / "exam.jsonl"
    write_rows(path, rows)
    return path


def cleaned(section: Corpus, sources: list[Path], exams: list[Path], out: Path) -> list[Document]:
    out.mkdir()
    clean(section, sources, exams, out)
    return list(records.documents(out))


def dropped(out: Path) -> list[tuple[str, str]]:
    return [(row["reason"], row["item"]["text"]) for row in read_rows(out / "rejected.jsonl")]


def test_text_is_normalised_and_the_rest_of_a_document_is_left_alone(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "Cafe\u0301\t is\u00a0 so\u00adft\x07\nand  warm")
    (document,) = cleaned(corpus(), [source], [], tmp_path / "out")
    (before,) = records.documents(source)
    assert document.text == "Café is soft and warm"
    assert (document.id, document.section) == (before.id, before.section)
    assert (document.start, document.end) == (before.start, before.end)
    assert read_json(tmp_path / "out/counts.json") == {
        "kept": {"documents": 1, "paragraphs": 1, "words": 5},
        "rejected": {},
    }


@pytest.mark.parametrize(
    ("paragraph", "reason"),
    [
        ("two words", "too short"),
        ("one two three four five six seven eight nine ten eleven twelve more", "too long"),
        ("go on and go on and go on and", "repetitive"),
        ("\x01\u200b", "empty"),
        ("FINE text\nto keep", "duplicate paragraph"),
    ],
)
def test_a_paragraph_is_dropped_for_a_reason(tmp_path: Path, paragraph: str, reason: str) -> None:
    source = ingested(tmp_path / "a", f"Fine text to keep\n\n{paragraph}\n\nAnother good one here")
    (document,) = cleaned(corpus(), [source], [], tmp_path / "out")
    assert document.text == "Fine text to keep\n\nAnother good one here"
    assert dropped(tmp_path / "out") == [(reason, normalised(paragraph) or paragraph)]


def test_bounds_themselves_are_kept(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "just three words\n\na b c d e f g h i j k l")
    (document,) = cleaned(corpus(), [source], [], tmp_path / "out")
    assert document.text.count("\n\n") == 1


def test_repetition_is_the_share_of_repeated_3_grams() -> None:
    assert repetition(["a", "b", "c", "a", "b", "c"]) == 0.25
    assert repetition(["a", "a"]) == 0


def test_a_document_with_nothing_left_is_in_the_ledger_paragraph_by_paragraph(
    tmp_path: Path,
) -> None:
    source = ingested(tmp_path / "a", "too short\n\nthis too", "Fine text to keep")
    kept = cleaned(corpus(), [source], [], tmp_path / "out")
    assert [each.id for each in kept] == ["a#2"]
    assert dropped(tmp_path / "out") == [("too short", "too short"), ("too short", "this too")]


def test_duplicates_are_found_across_sources_and_the_first_stays(tmp_path: Path) -> None:
    sources = [
        ingested(tmp_path / "a", "Seen in both books"),
        ingested(tmp_path / "b", "seen  in both books\n\nonly in the second"),
    ]
    kept = cleaned(corpus(), sources, [], tmp_path / "out")
    assert [each.text for each in kept] == ["Seen in both books", "only in the second"]
    (row,) = read_rows(tmp_path / "out/rejected.jsonl")
    assert (row["id"], row["detail"]) == ("b#1", "first in a#1")


def test_whole_documents_can_be_compared_instead(tmp_path: Path) -> None:
    text = "same first paragraph\n\nand a second one"
    source = ingested(tmp_path / "a", text, "same first paragraph\n\nand another one", text.upper())
    kept = cleaned(corpus("document"), [source], [], tmp_path / "out")
    assert [each.id for each in kept] == ["a#1", "a#2"]
    assert dropped(tmp_path / "out") == [("duplicate document", text.upper())]


def test_a_passage_of_an_exam_is_dropped_and_the_question_named(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "So which organ makes the white milk\n\nFine text to keep")
    exam = sat(tmp_path, "Which organ makes the white milk?")
    (document,) = cleaned(corpus(), [source], [exam], tmp_path / "out")
    assert document.text == "Fine text to keep"
    (row,) = read_rows(tmp_path / "out/rejected.jsonl")
    assert (row["reason"], row["detail"]) == ("in exam", "q1: which organ makes the white")


def test_a_question_cut_in_two_paragraphs_is_dropped_too(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "Tell us which organ\n\nmakes the milk daily")
    exam = sat(tmp_path, "Which organ makes the milk?")
    (document,) = cleaned(corpus(), [source], [exam], tmp_path / "out")
    assert document.text == "Tell us which organ"
    assert dropped(tmp_path / "out") == [("in exam", "makes the milk daily")]


def test_a_corpus_with_nothing_left_is_refused_with_the_main_reason(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "too short\n\nthis too\n\nwhich organ makes the milk")
    exam = sat(tmp_path, "Which organ makes the milk?")
    with pytest.raises(Complaint, match=r'books: 2 of 3 dropped paragraphs were "too short"'):
        cleaned(corpus(), [source], [exam], tmp_path / "out")


paragraphs = st.lists(st.sampled_from(["a", "b", "c", "D", "é", "e\u0301", "\x01", "\u3000"]))
texts = st.lists(paragraphs.map(" ".join), min_size=1, max_size=6).map("\n\n".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=4),
    st.lists(paragraphs.map(" ".join), max_size=2),
    st.sampled_from(["paragraph", "document"]),
)
def test_no_run_of_an_exam_is_left_and_cleaning_again_changes_nothing(
    books: list[str], stems: list[str], unit: str
) -> None:
    section = corpus(unit, 3, min_words=1, max_repetition=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, exam = ingested(folder / "a", *books, "always something left"), sat(folder, *stems)
        kept = cleaned(section, [source], [exam], folder / "once")
        prints = fingerprints(records.questions(exam), 3)
        assert all(shared(each.text, prints, 3) is None for each in kept)
        assert cleaned(section, [folder / "once"], [exam], folder / "twice") == kept
        assert dropped(folder / "twice") == []
