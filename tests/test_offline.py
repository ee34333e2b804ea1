from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_terms import ENGINES, TEXT
from test_terms import document as plain

from residency.offline import OfflineWriter, Text, written
from residency.records import Document, Question, Rejected
from residency.terms import cut

DATA = Path(__file__).parents[1].parent / "shared/data"


def run(documents: list[Document], **values: Any) -> tuple[list[Question], list[Rejected]]:
    """Questions and what was dropped, without any check from outside."""
    most = {"cloze": 2, "definition": 1, "reversal": 1, "comparison": 1, "options": 4, "seed": 0}
    writer = OfflineWriter.model_validate({"kind": "offline"} | most | values)
    result = list(written(writer, documents, lambda _: None))
    kept = [each for each in result if isinstance(each, Question)]
    return kept, [each for each in result if isinstance(each, Rejected)]


def document(text: str, name: str = "d", **values: Any) -> Document:
    return replace(plain(text), id=name, **values)


@pytest.fixture(scope="module")
def engines() -> list[Question]:
    return run([document(TEXT)])[0]


def form(questions: list[Question], name: str) -> list[Question]:
    return [each for each in questions if each.labels["kind"] == name]


def test_a_reversal_asks_for_the_subject(engines: list[Question]) -> None:
    asked = {each.stem: each.options[0] for each in form(engines, "reversal")}
    assert asked["Which pump feeds the tin boiler?"] == "marsh pump"
    assert asked["Which pump spins the wheel?"] == "marsh pump"


def test_a_comparison_has_one_thing_that_is_true_of_the_first_only(
    engines: list[Question],
) -> None:
    duties = {pump: {f"feeds the {boiler}", action} for pump, boiler, _, action, _ in ENGINES}
    compared = form(engines, "comparison")
    assert len(compared) == len(ENGINES)
    for each in compared:
        assert each.stem.startswith("Which of these is true of the ")
        one, other = each.stem.removesuffix("?").split(" true of the ")[1].split(" but not of the ")
        assert one != other
        assert each.options[0] in duties[one]
        assert each.options[1] in duties[other]
        assert not duties[one] & set(each.options[1:])


def test_forms_are_limited_by_sentence_and_term() -> None:
    kept, _ = run([document(TEXT)], cloze=0, comparison=0)
    assert {each.labels["kind"] for each in kept} == {"reversal"}
    assert max(Counter(each.explanation for each in kept).values()) == 1
    kept, _ = run([document(TEXT)], cloze=0, reversal=0, comparison=2)
    subjects = Counter(each.stem.split(" but not")[0] for each in kept)
    assert set(subjects.values()) == {2}


def test_a_term_is_asked_for_once_in_a_sentence(engines: list[Question]) -> None:
    terms = [each for each in engines if each.labels["kind"] != "comparison"]
    pairs = Counter((each.explanation, each.origin["start"], each.options[0]) for each in terms)
    assert max(pairs.values()) == 1


def test_wrong_options_come_from_the_chapter_where_it_has_enough() -> None:
    towns = (
        "ostra mere,carro hythe,benlo staith,tille gate,quenb ford,ashme quay,dunno fell,yarri tor"
    )
    rivers = (
        "lunni beck,tavel burn,ockle rill,marri gill,sorni wath,yuley syke,wendo foss,kelva pool"
    )
    pairs = list(zip(towns.split(","), rivers.split(","), strict=True))
    documents = [
        document(
            "\n\n".join(
                f"Of old the {town} was watered by the {river}.\n\nNear the {town} is the {river}."
                for town, river in told
            ),
            f"d{number}",
            section=("book", f"c{number}"),
        )
        for number, told in enumerate((pairs[:4], pairs[4:]))
    ]
    kept, _ = run(documents, options=3, definition=0, comparison=0)
    assert kept
    for each in kept:
        here = pairs[:4] if each.group == "d0" else pairs[4:]
        assert set(each.options) <= {name for pair in here for name in pair}


def test_a_wrong_option_differs_neither_in_number_nor_in_capitals() -> None:
    told = TEXT.replace("whale oil", "whale oils").replace("olive oil", "Olive oil")
    for each in run([document(told)])[0]:
        answer, *wrong = each.options
        if answer.endswith(("oil", "oils")) and each.labels["kind"] != "comparison":
            assert {one.endswith("s") for one in wrong} == {answer.endswith("s")}
            assert {one[0].isupper() for one in wrong} == {answer[0].isupper()}


def test_two_names_of_one_thing_are_not_options_together() -> None:
    text = Text(cut([document(TEXT + " The marsh pump, also called the quill pump, is old.")]))
    number = {term.text: which for which, term in enumerate(text.terms)}
    assert (number["marsh pump"], number["quill pump"]) in text.same
    assert (number["marsh pump"], number["orrin pump"]) not in text.same


def test_a_glossary_gives_definitions() -> None:
    glossary = "\n\n".join(
        f"{pump}: engine part that moves water to the {boiler}" for pump, boiler, *_ in ENGINES
    )
    entries = document(glossary, "g", part="glossary")
    kept, _ = run([document(TEXT), entries])
    asked = {each.stem: each.options[0] for each in kept if each.group == "g"}
    stem = 'Which term is described: "engine part that moves water to the tin boiler"?'
    assert asked[stem] == "marsh pump"
    assert {each.labels["kind"] for each in kept if each.group == "g"} == {"definition"}


def test_sentences_that_cannot_be_asked_about_are_told_with_the_reason() -> None:
    unfit = "These feed the marsh pump and the tin boiler. The Marsh Pump of the Tin Boiler."
    _, rejected = run([document(f"{TEXT}\n\n{unfit}\n\nHush now.")])
    reasons = {each.item["sentence"]: each.reason for each in rejected if "sentence" in each.item}
    assert reasons["These feed the marsh pump and the tin boiler."] == "leans on others"
    assert reasons["The Marsh Pump of the Tin Boiler."] == "no statement"
    assert reasons["Hush now."] == "too few terms"


def test_everyday_words_spread_over_all_documents_are_not_asked_for() -> None:
    documents = [
        document(
            f"The {pump} is a component. The {boiler} is by the {pump}.\n\n"
            f"A grommet is by the {pump}. A grommet holds the {boiler}. Each grommet is by the oil."
            if number % 8 == 0
            else f"The {pump} is a component. The {boiler} is by the {pump}.",
            f"d{number}",
            section=("book", f"c{number}"),
        )
        for number in range(40)
        for pump, boiler, *_ in [ENGINES[number % 5]]
    ]
    text = Text(cut(documents))
    worth = {term.text: text.worth[number] for number, term in enumerate(text.terms)}
    assert worth["grommet"]
    assert not worth["component"]


@pytest.mark.skipif(not DATA.exists(), reason="needs the real books in ../shared/data")
def test_a_chinese_classic_is_completed() -> None:
    path = min((DATA / "tcm").glob("*.txt"))
    text = path.read_bytes().decode("gb18030", "replace")[:60_000]
    kept, _ = run([document(text, language="zh")])
    assert len(kept) > 100
    assert all("____" in each.stem and len(set(each.options)) == 4 for each in kept)
