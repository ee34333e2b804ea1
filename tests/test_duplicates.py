"""Pairs are proposed by MinHash, decided by exact similarity, and found slice by slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from residency import duplicates
from residency.duplicates import (
    NearDuplicates,
    band_keys,
    candidates,
    jaccard,
    ngram_sets,
    repeated,
    write_keys,
)
from residency.tokens import Cut, Cutter
from residency.words import words

NEAR = NearDuplicates(ngram=2, jaccard=0.7, bands=20, rows=4, seed=0)


def cut(*texts: str) -> Cut:
    (found,) = Cutter(words)(text.split() for text in texts)
    return found


def test_jaccard_is_that_of_the_n_gram_sets() -> None:
    one, other, none = ngram_sets(NEAR, cut("a b c d e", "a b c d f a b", "x"))
    assert jaccard(one, other) == pytest.approx(3 / 6)
    assert jaccard(none, none) == 0


def test_signatures_are_alike_as_often_as_the_sets_are() -> None:
    rng = np.random.default_rng(0)
    near = NearDuplicates(ngram=1, jaccard=0.7, bands=200, rows=1, seed=1)
    shared = [f"w{n}" for n in range(300)]
    texts = [" ".join([*shared, *(f"{name}{n}" for n in range(100))]) for name in "ab"]
    texts = [" ".join(rng.permutation(text.split())) for text in texts]
    keys = band_keys(near, cut(*texts))
    one, other = (set(keys[keys[:, 1] == text, 0].tolist()) for text in (0, 1))
    assert len(one & other) / 200 == pytest.approx(300 / 500, abs=0.1)


def test_a_text_shorter_than_an_n_gram_has_no_signature() -> None:
    assert set(band_keys(NEAR, cut("a", "a b", ""))[:, 1].tolist()) == {1}


def test_what_repeats_is_found_across_files_and_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 1 << 63, 500, np.uint64) * np.uint64(2)
    keys[100:150] = keys[300:350]
    rows = np.stack([keys, np.arange(500, dtype=np.uint64)], axis=1)
    paths = [tmp_path / f"{number}.npy" for number in range(3)]
    for number, path in enumerate(paths):
        write_keys(path, rows[number::3])
    whole = np.concatenate(list(repeated(paths)))
    monkeypatch.setattr(duplicates, "_SLICE", 60)
    sliced = list(repeated(paths))
    assert len(sliced) == 9
    assert np.array_equal(np.concatenate(sliced), whole)
    assert sorted(whole[:, 1].tolist()) == [*range(100, 150), *range(300, 350)]


def test_pairs_are_proposed_once_with_the_later_document_first(tmp_path: Path) -> None:
    bands = np.array([[5, 7], [5, 3], [9, 3], [9, 7], [11, 1], [12, 3], [12, 3]], np.uint64)
    write_keys(tmp_path / "keys.npy", bands)
    assert candidates([tmp_path / "keys.npy"]).tolist() == [[7, 3]]


def test_a_crowded_band_is_compared_with_its_first_documents_only(tmp_path: Path) -> None:
    rows = np.stack([np.zeros(100, np.uint64), np.arange(100, dtype=np.uint64)], axis=1)
    write_keys(tmp_path / "keys.npy", rows)
    pairs = candidates([tmp_path / "keys.npy"])
    assert set(pairs[:, 1].tolist()) == set(range(16))
    assert (pairs[:, 0] == 99).sum() == 16
