from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from test_fertility import corpus, made  # noqa: F401  # the fixture

from residency.embeddings import Embeddings, Mean
from residency.extend import Tokenizer, extend
from residency.files import read_json, write_json
from residency.records import documents
from residency.section import Complaint
from residency.worth import Auto, bits, decide, part, sizes, weigh

TEXTS = [f"The gastrointestinal tract of patient {n} bled and bled." for n in range(40)]


def auto(**values: Any) -> Auto:
    return Auto(**{"worth": 0.01, "most": 64, "held_out": 0.25, "characters": 10_000} | values)


class Pairs:
    """Cuts text into characters, or above some size into pairs of them, the rest alone."""

    def __init__(self, size: int) -> None:
        self.step = 2 if size >= 128 else 1

    def get_vocab_size(self) -> int:
        return 70_000

    def encode_batch_fast(self, texts: list[str], *, add_special_tokens: bool) -> list[Any]:
        assert not add_special_tokens
        return [SimpleNamespace(ids=list(self.ids(text))) for text in texts]

    def ids(self, text: str) -> Iterator[int]:
        for at in range(0, len(text), self.step):
            yield int.from_bytes(text[at : at + self.step].encode("ascii"))


def slow(learned: list[list[int]], judged: list[list[int]], pieces: int) -> float:
    """Bits of `judged` by the textbook's formulas, one token at a time."""
    pairs: Counter[tuple[int, int]] = Counter()
    for document in learned:
        pairs.update(zip([-1, *document], document, strict=False))

    def discount(counts: list[int]) -> float:
        once, twice = counts.count(1), counts.count(2)
        return once / (once + 2 * twice) if once and twice else 0.5

    before = Counter(context for context, _ in pairs.elements())
    followers = Counter(context for context, _ in pairs)
    preceded = Counter(token for _, token in pairs)
    high, low = discount(list(pairs.values())), discount(list(preceded.values()))
    total = 0.0
    for document in judged:
        for context, token in zip([-1, *document], document, strict=False):
            alone = 1 / pieces
            if pairs:
                kinds = len(pairs)
                spread = low * len(preceded) / kinds
                alone = max(preceded[token] - low, 0) / kinds + spread / pieces
            chance = alone
            if before[context]:
                here = max(pairs[context, token] - high, 0) / before[context]
                chance = here + high * followers[context] / before[context] * alone
            total -= math.log2(chance)
    return total


def stream(rows: list[list[int]]) -> Any:
    return np.array([each for row in rows for each in (-1, *row)], np.int64)


rows = st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None)
@given(learned=rows, judged=rows)
def test_the_bigram_model_in_arrays_is_that_of_the_formulas(
    learned: list[list[int]], judged: list[list[int]]
) -> None:
    found = bits(stream(learned), stream(judged), 7)
    assert found == pytest.approx(slow(learned, judged, 7))


@settings(max_examples=30, deadline=None)
@given(learned=rows, context=st.integers(0, 6))
def test_the_chances_of_all_next_tokens_sum_to_one(learned: list[list[int]], context: int) -> None:
    alone = bits(stream(learned), stream([[context]]), 7)
    both = [bits(stream(learned), stream([[context, each]]), 7) for each in range(7)]
    assert sum(2 ** (alone - each) for each in both) == pytest.approx(1)


def test_sizes_are_nothing_then_half_octaves_up_to_the_most() -> None:
    assert sizes(300) == [0, 64, 96, 128, 192, 256, 300]
    assert sizes(128) == [0, 64, 96, 128]
    assert sizes(9) == [0, 9]


def test_the_size_chosen_is_the_last_that_pays_for_its_parameters() -> None:
    learned, held_out = TEXTS[:30], TEXTS[30:]
    free = weigh(auto(worth=1e-9), Pairs, 256, 576, learned, held_out)
    zero, small, pairs = (free["sizes"][at] for at in (0, 1, 3))
    assert [each["pieces"] for each in free["sizes"]] == [0, 64, 96, 128, 192, 256]
    assert small["bits_per_byte"] == zero["bits_per_byte"]
    assert pairs["bits_per_byte"] < zero["bits_per_byte"]
    assert pairs["tokens_per_byte"] == pytest.approx(0.5, abs=0.01)
    assert pairs["parameters"] == 128 * 576
    assert free["chosen"] == 128  # 192 and 256 are as good, and larger
    saved = (zero["bits_per_byte"] - pairs["bits_per_byte"]) / (128 * 576 / 1e6)
    for price, chosen in [(0.99 * saved, 128), (1.01 * saved, 0)]:
        assert weigh(auto(worth=price), Pairs, 256, 576, learned, held_out)["chosen"] == chosen


def test_no_document_is_learned_from_and_judged_on(tmp_path: Path) -> None:
    (tmp_path / "learned").mkdir()
    whole = corpus(tmp_path / "corpus", *TEXTS)
    learned, held_out = part(whole, auto(), tmp_path / "learned")
    assert len(held_out) == 10
    assert sorted(learned + held_out) == sorted(TEXTS)
    assert [each.text for each in documents(tmp_path / "learned")] == learned


def test_a_sample_holds_at_most_the_declared_characters(tmp_path: Path) -> None:
    (tmp_path / "learned").mkdir()
    whole = corpus(tmp_path / "corpus", *TEXTS)
    learned, held_out = part(whole, auto(characters=500), tmp_path / "learned")
    assert 400 < sum(map(len, learned + held_out)) <= 500


def test_one_document_cannot_be_parted(tmp_path: Path) -> None:
    (tmp_path / "learned").mkdir()
    whole = corpus(tmp_path / "corpus", TEXTS[0])
    with pytest.raises(Complaint, match=r"1 document.*held_out = 0\.25 leaves none to learn from"):
        part(whole, auto(), tmp_path / "learned")


def test_where_no_size_pays_the_price_of_the_first_is_told(tmp_path: Path) -> None:
    whole = corpus(tmp_path / "corpus", *TEXTS)
    with pytest.raises(Complaint, match=r"no number of new pieces is worth 50.*the first 64 save"):
        decide(auto(worth=50), whole, 576, lambda *_: [None] * 64, lambda some: Pairs(len(some)))


def test_extend_grows_by_the_size_chosen_and_keeps_the_curve(
    made: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    config = {"model_type": "llama", "hidden_size": 32, "tie_word_embeddings": False}
    write_json(made["base"] / "config.json", config)
    whole = corpus(tmp_path / "corpus", *TEXTS)
    section = Tokenizer(
        base="b",
        corpus="c",
        new_tokens="auto",
        auto=auto(worth=0.001),
        min_count=2,
        embeddings=Embeddings(start=Mean(kind="mean"), multiple=None),
    )
    outs = [tmp_path / "one", tmp_path / "two"]
    for out in outs:
        out.mkdir()
        extend(section, base=made["base"], corpus=whole, out=out)
    curve = read_json(outs[0] / "curve.json")
    assert curve["per_piece"] == 2 * 32
    assert 0 < curve["chosen"] == len(read_json(outs[0] / "pieces.json"))
    assert curve["sizes"][0]["tokens_per_byte"] > curve["sizes"][-1]["tokens_per_byte"]
    for name in ("curve.json", "tokenizer.json"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()


def test_a_number_has_no_auto_and_auto_has_no_number() -> None:
    for number, how in [("auto", None), (5, auto())]:
        with pytest.raises(ValidationError, match="auto says how new_tokens is decided"):
            Tokenizer(
                base="b",
                corpus="c",
                new_tokens=number,
                auto=how,
                min_count=2,
                embeddings=Embeddings(start=Mean(kind="mean"), multiple=None),
            )
