"""Cutting many texts at once finds just what cutting one finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency import tokens as module
from residency.tokens import Cutter, tokens
from residency.words import words

TEXTS = st.lists(
    st.text(st.sampled_from("aAé1.,'’-/()%é甲乙。 \u3000\u0301ﬁ"), max_size=20), max_size=5
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # What spaCy 3.8 says: spacy.blank("en").
        (
            "It's well-known (Figure 3.14), don't 10mg",
            "It 's well - known ( Figure 3.14 ) , do n't 10 mg",
        ),
        (
            "and/or COVID-19, 5-HT O'Brien... 12:30 1/2",
            "and/or COVID-19 , 5 - HT O'Brien ... 12:30 1/2",
        ),
        ("Dr. A. B. said 'no.' i.e. 57% cannot", "Dr. A. B. said ' no . ' i.e. 57 % can not"),
        ("Na+ p<0.001 CoA. pH. m(2 —which", "Na+ p<0.001 CoA. pH. m(2 — which"),
    ],
)
def test_english_is_cut_as_spacy_cuts_it(text: str, found: str) -> None:
    assert tokens(text) == found.split()


def test_each_chinese_character_is_a_token() -> None:
    assert tokens("气血DNA不足。") == ["气", "血", "DNA", "不", "足", "。"]


@given(TEXTS)
def test_many_texts_at_once_are_cut_as_one_by_one(texts: list[str]) -> None:
    for_words, for_tokens = Cutter(words, tokens)(text.split() for text in texts)
    for number, text in enumerate(texts):
        assert for_words.text(number) == words(text)
        assert for_tokens.text(number) == tokens(text)


def test_runs_of_tokens_stay_inside_their_text() -> None:
    (cut,) = Cutter(words)([["a", "b", "c"], ["b", "c"], [], ["x"]])
    hashes, starts = cut.runs(2)
    assert starts.tolist() == [0, 1, 3]
    assert hashes[1] == hashes[2] != hashes[0]


def test_texts_are_chosen_and_joined() -> None:
    (cut,) = Cutter(words)([["a", "b"], ["c"], ["d"], ["e", "f"]])
    joined = cut.take(np.array([0, 2, 3])).joined([1, 2])
    assert [joined.text(0), joined.text(1)] == [["a", "b"], ["d", "e", "f"]]


def test_what_is_remembered_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    cutter = Cutter(words)
    for texts in (["a b c d", "b"], ["c x"], ["a"]):
        (cut,) = cutter(text.split() for text in texts)
        assert [cut.text(number) for number in range(len(texts))] == [t.split() for t in texts]
    assert len(cutter.stretches) == 3
