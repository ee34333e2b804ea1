"""worth: how many pieces a tokenizer should grow by, weighed by what each size buys.

    documents ── by hash ─┬─> learned: merges in order; a bigram model for each size
                          └─> held out: bits per byte at each size ──> the size where
                              bits per byte + worth x millions of added parameters is least

As in VOLT (Xu et al. 2021, arXiv 2012.15671, section 3, "marginal utility of vocabularization") a
larger vocabulary is a cost that the fall of an entropy must pay for. VOLT's entropy is that of
single tokens, which overstates what merging buys, because any model sees the token before; here it
is the cross-entropy of an interpolated Kneser-Ney bigram model on text it has not seen, per byte,
so that sizes compare, and too many rare pieces cost more than they save.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat, PositiveInt

from residency.files import write_rows
from residency.records import documents
from residency.section import Complaint, Section

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SMALLEST = 64  # pieces; the sizes tried are 64, 96, 128, 192, 256, ...
TEXTS_AT_A_TIME = 256


class Auto(Section):
    """How the number of new pieces is decided."""

    worth: PositiveFloat = Field(
        description="Bits per byte that a million added parameters (pieces x hidden size, twice "
        "where input and output embeddings are apart) must save."
    )
    most: PositiveInt = Field(description="No size above this is tried.")
    held_out: float = Field(
        gt=0, lt=1, description="Share of the documents that sizes are judged on, drawn by hash."
    )
    characters: PositiveInt = Field(
        description="Decided on at most this much of the corpus, documents drawn by hash."
    )


@dataclass(frozen=True, kw_only=True)
class Size:
    """What one size costs and buys, on held-out text."""

    pieces: int
    parameters: int
    tokens_per_byte: float
    bits_per_byte: float


def decide(
    auto: Auto,
    corpus: Path,
    per_piece: int,
    learn: Callable[[Path, int], Sequence[Any]],
    grown: Callable[[Sequence[Any]], Any],
) -> dict[str, Any]:
    """The curve of `weigh` on a corpus, a folder of build/corpora.

    `learn(corpus, most)`: merges in order; `grown(merges)`: a `tokenizers.Tokenizer` with them.
    Raises Complaint where no size pays.
    """
    with TemporaryDirectory() as folder:
        learned, held_out = part(corpus, auto, Path(folder))
        merges = learn(Path(folder), auto.most)
    curve = weigh(
        auto, lambda size: grown(merges[:size]), len(merges), per_piece, learned, held_out
    )
    if not curve["chosen"]:
        first = curve["sizes"][1]
        saved = curve["sizes"][0]["bits_per_byte"] - first["bits_per_byte"]
        raise Complaint(
            f"{corpus}: no number of new pieces is worth {auto.worth:g} bits per byte per million "
            f"added parameters; the first {first['pieces']} save {saved:.3g} for "
            f"{first['parameters'] / 1e6:.3g} million: lower auto.worth, set new_tokens to a "
            "number, or train without a grown tokenizer"
        )
    return curve


def part(corpus: Path, auto: Auto, learned: Path) -> tuple[list[str], list[str]]:
    """The texts that sizes are learned from and judged on; no document is in both.

    `corpus`: a folder of build/corpora; `learned`: an empty folder, which takes the documents of
    the first part in the form of a corpus. Raises Complaint where one part would be empty.
    """
    drawn = sorted(
        (_draw(each.id, "sample"), each.id, len(each.text)) for each in documents(corpus)
    )
    taken: set[str] = set()
    length = 0
    for _, id, characters in drawn:
        length += characters
        if taken and length > auto.characters:
            break
        taken.add(id)
    ids = sorted(taken, key=lambda id: (_draw(id, "held out"), id))
    apart = set(ids[: max(1, round(auto.held_out * len(ids)))])
    if len(apart) == len(ids):
        raise Complaint(
            f"{corpus}: {len(ids)} document(s) to decide new_tokens on, of which held_out = "
            f"{auto.held_out:g} leaves none to learn from; expected at least two: give a larger "
            "corpus, raise auto.characters, or set new_tokens to a number"
        )
    sample = [each for each in documents(corpus) if each.id in taken]
    write_rows(learned / "documents.jsonl", (each for each in sample if each.id not in apart))
    return (
        [each.text for each in sample if each.id not in apart],
        [each.text for each in sample if each.id in apart],
    )


def sizes(most: int) -> list[int]:
    """0, then powers of two and halfway between them from SMALLEST, then `most`."""
    found, size = [0], SMALLEST
    while size < most:
        found += [each for each in (size, size * 3 // 2) if each < most]
        size *= 2
    return [*found, most]


def weigh(
    auto: Auto,
    grown: Callable[[int], Any],
    most: int,
    per_piece: int,
    learned: Sequence[str],
    held_out: Sequence[str],
) -> dict[str, Any]:
    """The curve of all sizes up to `most`, and the one chosen.

    `grown(n)`: a `tokenizers.Tokenizer` with the first n merges; `per_piece`: parameters that one
    piece adds. {"chosen", "worth", "per_piece", "sizes": [Size as a mapping]}; of equals the
    smaller is chosen, and 0 where no size pays.
    """
    volume = sum(len(text.encode()) for text in held_out)
    curve = []
    for size in sizes(most):
        tokenizer = grown(size)
        told, judged = _stream(tokenizer, learned), _stream(tokenizer, held_out)
        total = bits(told, judged, tokenizer.get_vocab_size())
        curve.append(
            Size(
                pieces=size,
                parameters=size * per_piece,
                tokens_per_byte=(len(judged) - len(held_out)) / volume,
                bits_per_byte=total / volume,
            )
        )
    best = min(curve, key=lambda each: each.bits_per_byte + auto.worth * each.parameters / 1e6)
    return {
        "chosen": best.pieces,
        "worth": auto.worth,
        "per_piece": per_piece,
        "sizes": [asdict(each) for each in curve],
    }


def bits(learned: NDArray[np.int64], judged: NDArray[np.int64], pieces: int) -> float:
    """Bits that `judged` takes under an interpolated Kneser-Ney bigram model of `learned`.

    Both are streams of ids below `pieces`, in which -1 opens a document and is not itself
    predicted. One absolute discount, estimated as n1 / (n1 + 2 n2) from the counts of bigrams
    (Ney, Essen & Kneser 1994, "On Structuring Probabilistic Dependences"); the lower order is made
    of how many different tokens precede one (Kneser & Ney 1995), interpolated in the same way with
    the uniform distribution (Chen & Goodman 1999, section 4.1.6).
    """
    import numpy as np

    wide = pieces + 1
    seen, counts = np.unique(_pairs(learned, wide), return_counts=True)
    before, after = seen // wide, seen % wide
    discount = _discount(counts)

    preceded = np.bincount(after, minlength=wide)  # by how many different tokens
    kinds = len(seen)
    lower = _discount(preceded[preceded > 0])
    spread = lower * np.count_nonzero(preceded) / max(kinds, 1) if kinds else 1.0
    alone = np.maximum(preceded - lower, 0) / max(kinds, 1) + spread / pieces

    total = np.bincount(before, weights=counts, minlength=wide)
    followers = np.bincount(before, minlength=wide)
    asked = _pairs(judged, wide)
    context, token = asked // wide, asked % wide
    known = total[context] > 0
    place = np.minimum(np.searchsorted(seen, asked), max(kinds - 1, 0))
    met = np.where(seen[place] == asked, counts[place], 0) if kinds else np.zeros(len(asked))
    below = np.maximum(total[context], 1)
    rest = np.where(known, discount * followers[context] / below, 1.0)
    chance = np.maximum(met - discount * (met > 0), 0) / below + rest * alone[token]
    return float(-np.log2(chance).sum())


def _pairs(stream: NDArray[np.int64], wide: int) -> NDArray[np.int64]:
    """Each token with the one before as one number; the opening of a document is the last id."""
    before, after = stream[:-1], stream[1:]
    inside = after >= 0
    return (before[inside] % wide) * wide + after[inside]


def _discount(counts: NDArray[np.int64]) -> float:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else 0.5


def _stream(tokenizer: Any, texts: Iterable[str]) -> NDArray[np.int64]:
    """The ids of all texts in a row, each text opened by -1."""
    import numpy as np

    def parts() -> Iterator[NDArray[np.int64]]:
        rows = list(texts)
        for start in range(0, len(rows), TEXTS_AT_A_TIME):
            some = rows[start : start + TEXTS_AT_A_TIME]
            for each in tokenizer.encode_batch_fast(some, add_special_tokens=False):
                yield np.array([-1, *each.ids], np.int64)

    return np.concatenate(list(parts()))


def _draw(id: str, purpose: str) -> bytes:
    return hashlib.sha256(f"{purpose} {id}".encode()).digest()
