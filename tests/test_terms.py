from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.records import Document
from residency.terms import Term, alike, cut, find


def document(text: str, language: str = "en") -> Document:
    return Document(
        id="d", source="s", file="f.txt", sha256="0" * 64, section=(), start=0, end=len(text),
        language=language, licence="CC0", text=text,
    )  # fmt: skip


ENGINES = [
    ("vintal pump", "copper boiler", "whale oil", "cools the piston", "behind the iron door"),
    ("marsh pump", "tin boiler", "linseed oil", "spins the wheel", "under the coal bunker"),
    ("orrin pump", "zinc boiler", "castor oil", "seals the valve", "above the left axle"),
    ("teller pump", "nickel boiler", "rape oil", "locks the brake", "beside the water tank"),
    ("quill pump", "brass boiler", "olive oil", "clears the flue", "near the rear hatch"),
]
TEXT = "\n\n".join(
    f"The {pump} feeds the {boiler}. Most {oil} is kept for the {boiler}. The {pump} {action}. "
    f"The {pump} lies {place}.\n\n"
    f"A driver hears the {pump} before the {boiler} starts. Old {oil} ruins the {boiler}. "
    f"It is the {pump} that {action}. Look {place} for the {pump}."
    for pump, boiler, oil, action, place in ENGINES
)


@pytest.fixture(scope="module")
def terms() -> dict[str, Term]:
    return {term.text: term for term in find(cut([document(TEXT)]))}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One is here. Two is there! Is three?", ["One is here.", "Two is there!", "Is three?"]),
        ("See Fig. 2 by Dr. Who, i.e. here. Done.", ["See Fig. 2 by Dr. Who, i.e. here.", "Done."]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("It grew 0.5 mm. of width\nby day. Two.", ["It grew 0.5 mm. of width by day.", "Two."]),
        ("- first item\n- second\n  goes on", ["- first item", "- second goes on"]),
        ("Organ | Nerve\nheart | vagus", ["Organ | Nerve", "heart | vagus"]),
        ("肝主筋。心主血！", ["肝主筋。", "心主血！"]),
    ],
)  # fmt: skip
def test_text_is_cut_into_sentences_items_and_rows(text: str, sentences: list[str]) -> None:
    assert [each.text for each in cut([document(text)])] == sentences


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab C.!?。\n\t|-1é肝\"'’"), max_size=60))
def test_sentences_lose_no_text_and_lie_where_they_say(text: str) -> None:
    given = document(text)
    sentences = cut([given])
    assert "".join("".join(each.text.split()) for each in sentences) == "".join(text.split())
    for each in sentences:
        assert " ".join(text[each.start : each.end].split()) == each.text
        spans = zip(each.starts, each.ends, strict=True)
        assert tuple(each.text[start:end].casefold() for start, end in spans) == each.words
    alike(find(sentences), sentences, 3)


def test_things_places_and_actions_are_found_whole(terms: dict[str, Term]) -> None:
    for pump, boiler, oil, action, place in ENGINES:
        assert {terms[text].kind for text in (pump, boiler, oil)} == {"thing"}
        assert terms[action].kind == "action"
        assert terms[place].kind == "place"


def test_verbs_and_common_words_are_no_terms(terms: dict[str, Term]) -> None:
    words = {word for term in terms.values() if term.kind == "thing" for word in term.words}
    assert not words & {"feeds", "ruins", "is", "kept", "starts", "old", "most", "it", "look"}


def test_a_term_is_written_as_within_a_sentence() -> None:
    text = TEXT + " Whale oil is old. Whale oil is dear. The Ost gate of the Ost gate."
    assert {"whale oil", "Ost gate"} <= {term.text for term in find(cut([document(text)]))}


def test_a_table_row_is_a_passage_of_its_own_and_a_hard_wrapped_line_is_not() -> None:
    table = cut([document("Pump: marsh; Oil: castor.\nPump: quill; Oil: rape.\n\nA pump\nis old.")])
    assert [each.passage for each in table] == [("d", 0), ("d", 1), ("d", 2)]


def test_terms_of_a_kind_are_most_alike() -> None:
    sentences = cut([document(TEXT)])
    terms = find(sentences)
    near = alike(terms, sentences, 4)
    for column in zip(*ENGINES, strict=True):
        for number, term in enumerate(terms):
            if term.text in column:
                assert {terms[other].text for other in near[number]} == set(column) - {term.text}
                assert list(near[number].values()) == sorted(near[number].values(), reverse=True)


def test_terms_of_chinese_are_runs_of_characters() -> None:
    told = "肝经主筋。足下有肝经。脾经主肉，腹中有脾经。"
    other = "肾藏精，在志为恐。肺司呼吸，开窍于鼻。心主血脉，其华在面。胆者中正之官，决断出焉。"
    terms = find(cut([document(told + other, "zh")]))
    assert {"肝经", "脾经"} <= {term.text for term in terms}
