"""What counts as a word, in any script."""

from __future__ import annotations

import pytest

from residency.overlap import words


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
