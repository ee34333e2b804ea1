"""What is worth training on stays as it is; every drop has its reason; no exam gets through."""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import REPOSITORY
from ruamel.yaml import YAML

from residency import clean as module
from residency import records
from residency.clean import Corpus, clean, normalised, phases, repetition, share
from residency.decontaminate import index, kept_out, leaks, questions_in
from residency.files import building, read_json, read_rows, write_rows
from residency.records import Document, Question
from residency.section import Complaint
from residency.words import words

KNOWN = {"ngram": 3, "stem": 0.5, "options": 0.6, "same": 0.7, "stretch": 30}
FILTER = {"min_words": 3, "max_words": 12, "max_repetition": 0.3}


PUBLISHED = YAML(typ="safe").load(REPOSITORY / "docs/thresholds.yaml")
NEAR = {"ngram": 3, "jaccard": 0.7, "bands": 30, "rows": 3, "seed": 0}


def corpus(
    unit: str = "paragraph",
    alone: int = 5,
    near: dict[str, Any] | None = None,
    sections: dict[str, Any] | None = None,
    **bounds: Any,
) -> Corpus:
    return Corpus.model_validate(
        {
            "sources": ["books"],
            "mojibake": "repair",
            "language": None,
            "boilerplate": None,
            "filter": {**FILTER, **bounds},
            "quality": {"repetition": None, "gopher": None, "c4": None, "fineweb": None},
            "deduplicate": {"unit": unit, "near": near},
            "decontaminate": {"exams": ["finals"], "splits": ["test"], **KNOWN, "alone": alone},
            **(sections or {}),
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


def sat(folder: Path, *stems: str, exam: str = "finals") -> Path:
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
    path = folder / exam / "test.jsonl"
    path.parent.mkdir()
    write_rows(path, rows)
    return path


def cleaned(section: Corpus, sources: list[Path], exams: list[Path], out: Path) -> list[Document]:
    out.mkdir()
    clean(section, sources, exams, out)
    texts = [each.text.strip() for source in sources for each in records.documents(source)]
    read = sum(len(re.split(r"\n\s*\n", text)) for text in texts)
    gone = sum(len(text.split("\n\n")) for _, text in dropped(out))
    assert read == read_json(out / "counts.json")["kept"]["paragraphs"] + gone
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
    assert (row["reason"], row["detail"]) == (
        "in exam",
        "finals/test/q1: stem (1.00): exam “Which organ makes the white milk?”, "
        "text “which organ makes the white milk”",
    )


def test_exams_whose_questions_have_equal_ids_are_told_apart(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "So which organ makes the white milk\n\nFine text to keep")
    stems = {"us": "Where does a keeper sleep?", "taiwan": "Which organ makes the white milk?"}
    exams = [sat(tmp_path, stem, exam=exam) for exam, stem in stems.items()]
    cleaned(corpus(), [source], exams, tmp_path / "out")
    (row,) = read_rows(tmp_path / "out/rejected.jsonl")
    assert questions_in(row["detail"], "taiwan", "test") == ["q1"]
    assert questions_in(row["detail"], "taiwan", "dev") == []
    assert questions_in(row["detail"], "us", "test") == []


def test_a_question_cut_in_two_paragraphs_is_dropped_too(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "Fine text to keep\n\nTell which organ\n\nmakes the milk")
    exam = sat(tmp_path, "Which organ makes the milk?")
    (document,) = cleaned(corpus(), [source], [exam], tmp_path / "out")
    assert document.text == "Fine text to keep"
    assert dropped(tmp_path / "out") == [
        ("in exam", "Tell which organ"),
        ("in exam", "makes the milk"),
    ]


def test_a_corpus_with_nothing_left_is_refused_with_the_main_reason(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "too short\n\nthis too\n\nwhich organ makes the milk")
    exam = sat(tmp_path, "Which organ makes the milk?")
    with pytest.raises(Complaint, match=r'books: 2 of 3 dropped paragraphs were "too short"'):
        cleaned(corpus(), [source], [exam], tmp_path / "out")


LINE = ["the", "heart", "pumps", "blood", "through", "every", "vessel", "of", "us", "all"]
HEART = [" ".join(f"{word}{n}" for word in LINE) for n in range(12)]


def test_a_near_duplicate_is_dropped_and_the_first_one_named(tmp_path: Path) -> None:
    text = "\n\n".join(HEART)
    edited, other = text.replace("blood3", "milk"), text.replace("pumps", "drives")
    source = ingested(tmp_path / "a", text, other, edited)
    kept = cleaned(corpus(near=NEAR), [source], [], tmp_path / "out")
    assert [each.id for each in kept] == ["a#1", "a#2"]
    (row,) = read_rows(tmp_path / "out/rejected.jsonl")
    assert (row["id"], row["reason"]) == ("a#3", "near-duplicate")
    share = float(re.fullmatch(r"Jaccard (0\.\d+) with a#1", row["detail"])[1])
    one, two = (
        {tuple(w[n : n + 3]) for n in range(len(w) - 2)} for w in map(words, (text, edited))
    )
    assert share == pytest.approx(len(one & two) / len(one | two), abs=0.001)


def test_a_near_duplicate_in_chinese_is_dropped(tmp_path: Path) -> None:
    text = (
        "黄帝曰余闻上古有真人者提挈天地把握阴阳呼吸精气独立守神肌肉若一故能寿敝天地无有终时此其道生"
    )
    source = ingested(tmp_path / "a", text, text.replace("提挈", "把持"), text[::-1])
    kept = cleaned(corpus(near=NEAR, max_words=99), [source], [], tmp_path / "out")
    assert [each.id for each in kept] == ["a#1", "a#3"]


def test_only_a_document_that_is_kept_has_near_duplicates(tmp_path: Path) -> None:
    text, new = "\n\n".join(HEART), "a line of its own"
    source = ingested(tmp_path / "a", text, text.replace(HEART[3], new), "fine text to keep")
    exam = sat(tmp_path, *HEART)
    kept = cleaned(corpus(near=NEAR), [source], [exam], tmp_path / "out")
    assert [each.text for each in kept] == [new, "fine text to keep"]


def test_the_artifact_does_not_depend_on_the_cores_nor_on_jobs_that_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(0)
    texts = [
        "\n\n".join(
            " ".join(chance.choices(["heart", "lung", "the", "a", "of", "vein"], k=6))
            for _ in range(5)
        )
        for _ in range(60)
    ]
    texts = [f"Access for free online\n\n{text}" for text in texts]
    source = ingested(tmp_path / "a", *texts, *(text.replace("lung", "lungs") for text in texts))
    section = corpus(near=NEAR, sections={"boilerplate": {"documents": 3, "max_words": 6}})
    artifacts = []
    for threads, size in [("1", 10**6), ("3", 4000), ("2", 900)]:
        monkeypatch.setenv("RESIDENCY_THREADS", threads)
        monkeypatch.setattr(module, "SHARD", size)
        out = tmp_path / f"{threads}-{size}"
        cleaned(section, [source], [], out)
        artifacts.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert artifacts[0] == artifacts[1] == artifacts[2]
    assert set(artifacts[0]) == {"documents.jsonl", "rejected.jsonl", "counts.json"}
    assert b"near-duplicate" in artifacts[0]["rejected.jsonl"]
    assert b"boilerplate" in artifacts[0]["rejected.jsonl"]
    shares = tmp_path / "shares/3"
    monkeypatch.setenv("RESIDENCY_SHARES", str(shares))
    for phase in phases(section):
        for part in range(3):
            with building(shares / phase / str(part)) as out:
                share(section, [source], [], phase, lambda n, part=part: n % 3 == part, out)
    monkeypatch.setattr(module, "_sift", None)
    monkeypatch.setattr(module, "_count_furniture", None)
    cleaned(section, [source], [], tmp_path / "shared")
    found = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}
    assert found == artifacts[0]


def test_page_furniture_is_dropped_wherever_it_stands(tmp_path: Path) -> None:
    texts = [f"Access for free online\n\nPage {n} has a text of its own" for n in range(4)]
    section = corpus(sections={"boilerplate": {"documents": 4, "max_words": 5}})
    kept = cleaned(section, [ingested(tmp_path / "a", *texts)], [], tmp_path / "out")
    assert [each.text for each in kept] == [f"Page {n} has a text of its own" for n in range(4)]
    assert dropped(tmp_path / "out") == [("boilerplate", "Access for free online")] * 4


def test_mojibake_is_repaired_and_counted_or_left_alone(tmp_path: Path) -> None:
    source = ingested(tmp_path / "a", "The patientâ€™s cafÃ© is open\n\nNothing wrong with café")
    (document,) = cleaned(corpus(), [source], [], tmp_path / "out")
    assert document.text == "The patient’s café is open\n\nNothing wrong with café"
    assert read_json(tmp_path / "out/counts.json")["kept"]["repaired"] == 1
    (document,) = cleaned(corpus(sections={"mojibake": "keep"}), [source], [], tmp_path / "kept")
    assert document.text.startswith("The patientâ€™s")


def test_a_document_in_another_language_is_dropped(tmp_path: Path) -> None:
    french = "Le cœur se trouve entre les poumons et pompe le sang dans le corps"
    english = "The heart lies between the lungs and pumps blood through the body"
    section = corpus(max_words=20, sections={"language": PUBLISHED["language"]})
    kept = cleaned(section, [ingested(tmp_path / "a", french, english)], [], tmp_path / "out")
    assert [each.text for each in kept] == [english]
    assert dropped(tmp_path / "out") == [("language", french)]


def test_published_rules_drop_lines_and_documents(tmp_path: Path) -> None:
    good = "The nurse has to write down what she sees and be with the patient all day."
    text = "\n\n".join(good.replace("nurse", f"nurse number {n}") for n in range(9))
    source = ingested(
        tmp_path / "a", f"{text}\n\nHome and more", f"Only that, and {good}", f"{text} It is a {{."
    )
    quality = {**PUBLISHED["quality"], "repetition": None}
    section = corpus(max_words=99, sections={"quality": quality})
    kept = cleaned(section, [source], [], tmp_path / "out")
    assert [each.text for each in kept] == [text]
    assert [reason for reason, _ in dropped(tmp_path / "out")] == [
        "c4 line end",
        "gopher few words",
        "c4 page phrase",
    ]


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
        known = index(kept_out([exam]), section.decontaminate)
        assert not any(leaks(each.text.split("\n\n"), known) for each in kept)
        assert cleaned(section, [folder / "once"], [exam], folder / "twice") == kept
        assert dropped(folder / "twice") == []
