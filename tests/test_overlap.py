from __future__ import annotations

from math import exp, log, sqrt

import pytest

from residency.overlap import overlap, tokens


def test_chinese_is_cut_into_characters_and_into_words() -> None:
    assert tokens("肝脏 储存糖。", "characters") == ["肝", "脏", "储", "存", "糖", "。"]
    assert tokens("肝脏 储存糖。", "words") == ["肝脏", "储存", "糖", "。"]


def test_scores_by_hand() -> None:
    """'a b c d x' against 'a b c d e': 4 of 5 tokens, 3 of 4 pairs, 2 of 3 triples, 1 of 2."""
    found = overlap("a b c d x", "a b c d e")["words"]
    assert found["bleu_1"] == pytest.approx(4 / 5)
    assert found["bleu_4"] == pytest.approx(sqrt(sqrt(4 / 5 * 3 / 4 * 2 / 3 * 1 / 2)), abs=1e-5)
    assert found["rouge_1"] == pytest.approx(4 / 5)
    assert found["rouge_2"] == pytest.approx(3 / 4)
    assert found["rouge_l"] == pytest.approx(4 / 5)


def test_a_text_that_is_too_short_pays_in_bleu_alone() -> None:
    found = overlap("a b", "a b c d")["words"]
    assert found["bleu_1"] == pytest.approx(exp(1 - 4 / 2), abs=1e-5)
    assert found["rouge_1"] == pytest.approx(2 * 1 * 0.5 / 1.5, abs=1e-5)
    assert log(found["bleu_1"]) == pytest.approx(-1, abs=1e-4)


def test_the_same_text_scores_one_and_an_empty_one_nothing() -> None:
    same = overlap("心脏推动血液循环。", "心脏推动血液循环。")
    assert all(value == pytest.approx(1) for unit in same.values() for value in unit.values())
    none = overlap("", "心脏")
    assert not any(value for unit in none.values() for value in unit.values())


def test_order_counts_for_the_longest_common_run_only() -> None:
    found = overlap("c b a", "a b c")["words"]
    assert found["rouge_1"] == 1
    assert found["rouge_l"] == pytest.approx(1 / 3, abs=1e-5)
