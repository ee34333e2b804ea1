"""What counts as a word, in any script."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.words import _PIECE, count, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Gap: ____ (H₂O), Straße", ["gap", "h2o", "strasse"]),
        ("ＡＢＣ肝炎Bです", ["abc", "肝", "炎", "b", "で", "す"]),
        ("간염은 병이다", ["간염은", "병이다"]),
    ],
)
def test_words_are_folded_and_chinese_characters_are_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@settings(deadline=None)  # the first call makes a table
@given(st.text("ab1_ ,。素問アé\u0301\U00020000𝐀😀\n") | st.text(st.characters(codec="latin-1")))
def test_words_are_counted_as_they_are_found(text: str) -> None:
    text = re.sub("[¼½¾¨¯´¸]", "", text)  # stand for several words
    assert count(text) == len(words(text))


def test_words_are_counted_in_long_texts_as_in_short_ones() -> None:
    text = "five more words and 素问 " * (_PIECE // 8)
    assert len(text) > 2 * _PIECE
    assert count(text) == len(words(text))
