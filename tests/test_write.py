from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from residency.checks import Checks
from residency.decontaminate import Decontaminate
from residency.files import read_json, read_rows, write_rows
from residency.offline import BLANK, LEAD, OfflineWriter
from residency.records import Document, Question, questions
from residency.section import Complaint
from residency.write import Questions, write

CITIES = [
    # city, river, wool, and what its mayor does
    ("Ostrava Mere", "Lunn river", "marled wool", "guards the bridge"),
    ("Carrow Hythe", "Tave river", "carded wool", "tends the beacon"),
    ("Benlow Staith", "Ockle river", "felted wool", "mends the wharf"),
    ("Tillen Gate", "Marr river", "teased wool", "counts the grain"),
    ("Quenby Ford", "Sorn river", "fulled wool", "rings the bell"),
    ("Ashmer Quay", "Yule river", "combed wool", "sweeps the market"),
]
PARAGRAPHS = [
    [
        f"{city} is watered by the {river}. {city} is a market of {wool}. The mayor of {city} "
        f"{duty}, and the {river} turns its mills.",
        f"Traders of {city} love {wool}. The {river} often floods {city}. In spring {city} sells "
        f"an old bale of {wool} to foreigners; nobody knows why. Hush now.",
        f"The mayor of {city} {duty}.",
    ]
    for city, river, wool, duty in CITIES
]

KNOWN: Any = {
    "exams": [],
    "splits": [],
    "ngram": 3,
    "stem": 0.5,
    "options": 0.6,
    "same": 0.7,
    "alone": 12,
    "stretch": 30,
}


def document(name: str, text: str, language: str = "en") -> Document:
    return Document(
        id=name, source="s", file="f.txt", sha256="a" * 64, section=(), start=0, end=len(text),
        language=language, licence="CC0", text=text,
    )  # fmt: skip


CHECKS: Any = {
    "min_stem_words": 1,
    "max_stem_words": 100,
    "min_case_words": 5,
    "min_quote_words": 2,
    "option_lengths": None,
    "near_duplicate": None,
}
TOWNS = [document(f"town{number}", "\n\n".join(each)) for number, each in enumerate(PARAGRAPHS)]


def run(
    folder: Path, documents: list[Document] = TOWNS, exams: list[Path] | None = None, **values: Any
) -> tuple[list[Question], list[dict[str, Any]], dict[str, Any]]:
    """Questions kept, the ledger's rows and the counts."""
    corpus, out = folder / "corpus", folder / f"out{len(list(folder.glob('out*')))}"
    corpus.mkdir(exist_ok=True)
    out.mkdir()
    write_rows(corpus / "documents.jsonl", documents)
    writer = {
        "kind": "offline",
        "cloze": 3,
        "definition": 2,
        "reversal": 1,
        "comparison": 1,
        "options": 4,
        "seed": 1,
    } | values
    section = Questions(
        corpus="c",
        writer=OfflineWriter.model_validate(writer),
        verify=None,
        budget=None,
        checks=Checks(**CHECKS),
        decontaminate=Decontaminate(**KNOWN),
    )
    write(section, corpus, exams or [], model=None, judges=[], examples=None, out=out)
    kept = list(questions(out / "questions.jsonl"))
    return kept, list(read_rows(out / "rejected.jsonl")), read_json(out / "counts.json")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tmp_path_factory.mktemp("towns"))


def answer(question: Question) -> str:
    return question.options[question.answers[0]]


def test_every_fact_is_asked_in_both_directions(written: Any) -> None:
    pairs = {(each.explanation, answer(each)) for each in written[0]}
    for city, river, _, _ in CITIES:
        sentence = f"{city} is watered by the {river}."
        assert {(sentence, city), (sentence, river)} <= pairs


def test_simple_sentences_become_questions_and_others_are_completed(written: Any) -> None:
    stems = {each.stem: answer(each) for each in written[0]}
    assert stems["Which river is Carrow Hythe watered by?"] == "Tave river"
    assert stems["What is watered by the Tave river?"] == "Carrow Hythe"
    assert stems["What does the mayor of Carrow Hythe do?"] == "tends the beacon"
    assert stems[f"{LEAD}Traders of Carrow Hythe love {BLANK}."] == "carded wool"
    assert stems['Which term is described: "a market of carded wool"?'] == "Carrow Hythe"


def test_an_origin_is_the_sentence_that_explains_the_answer(written: Any) -> None:
    texts = {each.id: each for each in TOWNS}
    for each in written[0]:
        source = texts[each.origin["document"]]
        assert source.text[each.origin["start"] : each.origin["end"]] == each.explanation
        assert (each.group, each.origin["sha256"]) == (source.id, source.sha256)
        assert answer(each).casefold() in each.explanation.casefold()


def test_wrong_options_are_of_the_answers_kind_and_from_other_passages(written: Any) -> None:
    columns = [set(column) for column in zip(*CITIES, strict=True)]
    passages = {id(text): text for paragraphs in PARAGRAPHS for text in paragraphs}.values()
    for each in written[0]:
        assert len(set(each.options)) == 4
        passage = next(text for text in passages if each.explanation in text)
        for option in set(each.options) - {answer(each)}:
            assert option.casefold() not in passage.casefold()
        column = next((column for column in columns if answer(each) in column), None)
        assert column is None or set(each.options) <= column


def test_the_answer_is_not_in_the_stem(written: Any) -> None:
    assert all(answer(each).casefold() not in each.stem.casefold() for each in written[0])


def test_positions_of_answers_are_balanced_and_ids_unique(written: Any) -> None:
    positions = Counter(each.answers[0] for each in written[0])
    assert max(positions.values()) - min(positions.values()) <= 1
    assert len(positions) == 4
    assert len({each.id for each in written[0]}) == len(written[0])


def test_an_article_before_a_blank_fits_every_option(written: Any) -> None:
    texts = [each for each in written[0] if f" an {BLANK}" in each.stem.casefold()]
    assert all(option[0] in "aeiou" for each in texts for option in each.options)


def test_counts_are_of_what_is_kept_and_rejected(written: Any) -> None:
    kept, rejected, counts = written
    assert counts["kept"]["questions"] == len(kept)
    labels = Counter(each.labels["kind"] for each in kept)
    assert {form: counts["kept"][form] for form in labels} == dict(labels)
    assert counts["rejected"] == dict(Counter(row["reason"] for row in rejected))
    told = {row["item"]["sentence"] for row in rejected if row["reason"] == "too few terms"}
    assert "Hush now." in told


def test_no_more_questions_than_asked_for_come_of_a_sentence(tmp_path: Path) -> None:
    kept, _, _ = run(tmp_path, cloze=1, definition=0, reversal=0, comparison=0)
    assert not [each for each in kept if each.labels["kind"] == "definition"]
    assert max(Counter(each.explanation for each in kept).values()) == 1
    kept, _, _ = run(tmp_path, cloze=0, definition=1, reversal=0, comparison=0)
    assert {each.labels["kind"] for each in kept} == {"definition"}
    assert max(Counter(answer(each) for each in kept).values()) == 1


def test_a_repeated_sentence_is_asked_about_once(tmp_path: Path) -> None:
    again = document("again", TOWNS[0].text)
    kept, _, counts = run(tmp_path, [*TOWNS, again])
    assert counts["rejected"]["duplicate question"] > 0
    assert len({(each.stem, answer(each)) for each in kept}) == len(kept)


def test_a_question_of_an_exam_is_kept_out(tmp_path: Path) -> None:
    kept, _, _ = run(tmp_path)
    copied = next(each for each in kept if each.stem == "What is watered by the Tave river?")
    (tmp_path / "boards").mkdir()
    write_rows(tmp_path / "boards/test.jsonl", [copied])
    kept, rejected, _ = run(tmp_path, exams=[tmp_path / "boards/test.jsonl"])
    assert copied.stem not in {each.stem for each in kept}
    (row,) = [each for each in rejected if each["item"].get("stem") == copied.stem]
    assert row["reason"] == "in exam"
    assert row["detail"].startswith(f"boards/test/{copied.id}: ")


def test_too_few_terms_of_a_kind_are_counted(tmp_path: Path) -> None:
    _, rejected, counts = run(tmp_path, options=6)
    assert counts["rejected"]["too few distractors"] > 0
    assert {"stem", "answer", "origin"} <= rejected[-1]["item"].keys()


def test_a_corpus_that_gives_no_question_is_complained_of(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match="no question could be written from it"):
        run(tmp_path, [document("d", "Nothing much is said here.")])


@pytest.mark.parametrize(
    ("language", "forms", "names"),
    [
        (
            "fr",
            "{0} aime {1}. Hier, {1}, avec {0}.",
            "Alceste Bélise Dorante Éliante Florise Léon",
        ),
        ("ar", "{0} مع {1}. أمس، {1}، مع {0}.", "القلب الكبد الرئة المعدة الكلية الدماغ"),
        ("zh", "{0}，{1}，相通。今{1}，古{0}。", "肝木 脾土 肾水 胆汁 胃气 肺金"),
    ],
)
def test_other_languages_are_completed_without_english(
    tmp_path: Path, language: str, forms: str, names: str
) -> None:
    pairs = zip(names.split()[::2], names.split()[1::2], strict=True)
    text = "\n\n".join(forms.format(*pair) for pair in pairs)
    kept, _, _ = run(tmp_path, [document("d", text, language)], options=2)
    assert kept
    assert all(BLANK in each.stem and LEAD not in each.stem for each in kept)


def test_the_same_seed_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, seed=2)
    code = (
        "import sys, pathlib; from residency.write import Questions, write;"
        "section = Questions.model_validate_json(sys.argv[1]);"
        "write(section, pathlib.Path(sys.argv[2]), [], None, [], None, pathlib.Path(sys.argv[3]))"
    )
    values = {
        "corpus": "c",
        "writer": {
            "kind": "offline",
            "cloze": 3,
            "definition": 2,
            "reversal": 1,
            "comparison": 1,
            "options": 4,
            "seed": 1,
        },
        "verify": None,
        "budget": None,
        "checks": CHECKS,
        "decontaminate": KNOWN,
    }
    (tmp_path / "other").mkdir()
    subprocess.run(
        [sys.executable, "-c", code, json.dumps(values), tmp_path / "corpus", tmp_path / "other"],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        check=True,
    )
    for name in ("questions.jsonl", "rejected.jsonl", "counts.json"):
        assert (tmp_path / "other" / name).read_bytes() == (tmp_path / "out0" / name).read_bytes()
    one, two = ((tmp_path / out / "questions.jsonl").read_bytes() for out in ("out0", "out1"))
    assert one != two
