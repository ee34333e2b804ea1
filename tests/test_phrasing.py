from __future__ import annotations

import pytest
from test_terms import ENGINES, TEXT, document

from residency import phrasing
from residency.offline import Text
from residency.terms import cut

TEXTS = (
    TEXT + "\n\n" + " ".join(f"The flaw of the {pump} is {oil}." for pump, _, oil, *_ in ENGINES)
)


@pytest.fixture(scope="module")
def text() -> Text:
    return Text(cut([document(TEXTS)]))


def phrased(text: Text, said: str, term: str) -> tuple[str, str, str]:
    """A sentence as a question for a term, what it tells of the term, and the flaw turned round."""
    number = next(n for n, each in enumerate(text.sentences) if each.text == said)
    place, which = next(
        (place, which) for place, which in text.within[number] if text.terms[which].text == term
    )
    clause = phrasing.clause(text.sentences[number], text._inside(number))
    if clause is None:
        return "", "", ""
    return (
        phrasing.asked(clause, place, text.terms[which].kind, text.lower),
        phrasing.told_of(clause, place),
        phrasing.whose(clause, place, text.lower),
    )


MAKES, SPINS = "The marsh pump feeds the tin boiler.", "The marsh pump spins the wheel."
FLAW = "The flaw of the marsh pump is linseed oil."


@pytest.mark.parametrize(
    ("said", "term", "asked", "told", "whose"),
    [
        (MAKES, "tin boiler", "What does the marsh pump feed?", "", ""),
        (MAKES, "marsh pump", "", "feeds the tin boiler", ""),
        (SPINS, "spins the wheel", "What does the marsh pump do?", "", ""),
        (FLAW, "linseed oil", "What is the flaw of the marsh pump?", "", ""),
        (FLAW, "marsh pump", "", "", "Linseed oil is the flaw of what?"),
        ("Look under the coal bunker for the marsh pump.", "marsh pump", "", "", ""),
    ],
)
def test_a_plain_sentence_is_asked_in_every_direction(
    text: Text, said: str, term: str, asked: str, told: str, whose: str
) -> None:
    assert phrased(text, said, term) == (asked, told, whose)


@pytest.mark.parametrize(
    ("said", "leans"),
    [
        ("The marsh pump feeds the tin boiler.", False),
        ("The marsh pump loses its oil.", False),
        ("It feeds the tin boiler.", True),
        ("In its year, the marsh pump was new.", True),
        ("These pumps feed the tin boiler.", True),
        ("As shown in Figure 2, the marsh pump leaks.", True),
        ("Your marsh pump leaks.", True),
        ("The marsh pump is told of in “Pumps and Boilers” at length.", True),
    ],
)
def test_a_sentence_that_leans_on_others_is_known(said: str, leans: bool) -> None:
    (sentence,) = cut([document(said)])
    first = next((n for n, word in enumerate(sentence.words) if word == "marsh"), 1)
    assert phrasing.leaning(sentence, first) == leans


@pytest.mark.parametrize(
    ("said", "states"),
    [
        ("The pump leaks.", True),
        ("Traders love the pump.", True),
        ("External Anatomy of the Pump.", False),
        ("The pump of the marsh", False),
    ],
)
def test_a_heading_states_nothing(said: str, states: bool) -> None:
    (sentence,) = cut([document(said)])
    assert phrasing.stating(sentence, set(), set()) == states


def test_references_in_brackets_are_left_out() -> None:
    text = "Bones (see Figure 2) are hard (“Bone Tissue”), not soft (like clay)."
    assert phrasing.without_references(text) == "Bones are hard, not soft (like clay)."


@pytest.mark.parametrize(
    ("verb", "infinitive"),
    [
        ("makes", "make"),
        ("carries", "carry"),
        ("reaches", "reach"),
        ("does", "do"),
        ("has", "have"),
    ],
)
def test_verbs_in_s_have_an_infinitive(verb: str, infinitive: str) -> None:
    assert phrasing.infinitive(verb) == infinitive
