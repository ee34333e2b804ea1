"""extend: grow a tokenizer by domain tokens and say from which old pieces each is made.

    corpus ── the base's own segmentation ──> words of base pieces ── BPE ──> new merges
    tokenizer.json = the base's, with the new merges after its last and the new ids after its last

The new pieces are BPE merges (Sennrich et al. 2016, https://aclanthology.org/P16-1162, Algorithm 1)
that start where the base's merges end, not added tokens, which would be cut out of the text before
the base's pre-tokenizer sees it. So a new piece put back into its old ones is always exactly the
base's encoding, and a text without a new piece is encoded as before.
"""

from __future__ import annotations

import heapq
import shutil
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from residency import step
from residency.embeddings import Embeddings
from residency.files import read_json, write_json
from residency.records import documents
from residency.section import Complaint, Name, Section

Pair = tuple[str, str]

COPIED = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates",
    "config.json",
)
"""What AutoTokenizer reads beside tokenizer.json; by config.json it chooses the class.

The older vocab.json and merges.txt stay behind: they tell of the tokenizer before it grew.
"""


class Tokenizer(Section):
    """A base tokenizer plus domain merges learned on a corpus."""

    base: Name = Field(description="Model whose tokenizer is grown.")
    corpus: Name = Field(description="Corpus on which the new merges are learned.")
    new_tokens: int = Field(ge=1, description="How many pieces to add at most.")
    min_count: int = Field(ge=2, description="A pair met less often in the corpus is not merged.")
    embeddings: Embeddings = Field(description="How a model's rows of the new pieces begin.")


def extend(tokenizer: Tokenizer, base: Path, corpus: Path, out: Path) -> None:
    """Append merges to a byte-level BPE tokenizer; pieces.json maps new ids to old ones.

    `base`: a model's folder; `corpus`: a folder of build/corpora. Writes a tokenizer folder that
    AutoTokenizer loads, pieces.json ({"new id": [old ids]}), frequencies.npy (int64 [base
    vocabulary], how often each old piece occurs), embeddings.json (that section) and fertility.json
    (`fertility` before and after, and how many pieces were "added": fewer than asked where the
    corpus has no more).

    Raises Complaint for a tokenizer of another kind and for a corpus that yields no piece.
    """
    import numpy as np
    from transformers import AutoTokenizer

    grown = _byte_level(base)
    old = AutoTokenizer.from_pretrained(base)
    ids: dict[str, int] = old.get_vocab()
    words = segment(old.backend_tokenizer, corpus)
    merges = learn(words, set(ids), tokenizer.new_tokens, tokenizer.min_count)
    if not merges:
        raise Complaint(
            f"{corpus}: no new pair of pieces occurs min_count = {tokenizer.min_count} times, "
            "expected at least one; lower min_count or give a larger corpus"
        )

    first = max(ids.values()) + 1
    frequencies = np.zeros(first, np.int64)
    for word, count in words.items():
        for part in word:
            frequencies[ids[part]] += count
    pieces: dict[int, list[int]] = {}
    for piece, (left, right) in enumerate(merges, first):
        ids[left + right] = piece
        parts = (ids[left], ids[right])
        pieces[piece] = [old_id for part in parts for old_id in pieces.get(part, [part])]

    # Loading gives an added token that the model's own vocabulary lacks the next free id, which
    # the new pieces would move: it is written down where it is.
    grown["model"]["vocab"] = dict(sorted(ids.items(), key=lambda item: item[1]))
    as_lists = not any(isinstance(pair, str) for pair in grown["model"]["merges"])
    grown["model"]["merges"] += [list(pair) if as_lists else " ".join(pair) for pair in merges]
    (out / "tokenizer.json").write_bytes(orjson.dumps(grown, option=orjson.OPT_INDENT_2))
    for name in COPIED:
        if (base / name).is_dir():
            shutil.copytree(base / name, out / name)
        elif (base / name).exists():
            shutil.copyfile(base / name, out / name)

    new = AutoTokenizer.from_pretrained(out)
    if new.get_vocab() != ids:
        raise Complaint(
            f"{base}: {type(new).__name__} does not load the pieces added to its tokenizer.json, "
            "expected a class that does; set tokenizer_class to TokenizersBackend in its "
            "tokenizer_config.json"
        )
    write_json(out / "pieces.json", {str(piece): parts for piece, parts in pieces.items()})
    write_json(out / "embeddings.json", tokenizer.embeddings.canonical())
    np.save(out / "frequencies.npy", frequencies)
    write_json(
        out / "fertility.json",
        {
            "added": len(merges),
            "before": fertility(old.backend_tokenizer, corpus),
            "after": fertility(new.backend_tokenizer, corpus),
        },
    )


def segment(tokenizer: Any, corpus: Path) -> Counter[tuple[str, ...]]:
    """The corpus's pre-tokens, each as the base's pieces, with how often it occurs.

    `tokenizer`: a `tokenizers.Tokenizer`, whose own normalizer and pre-tokenizer cut the text.
    """
    counts: Counter[str] = Counter()
    for document in documents(corpus):
        text = document.text
        if tokenizer.normalizer is not None:
            text = tokenizer.normalizer.normalize_str(text)
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    cut: Counter[tuple[str, ...]] = Counter()
    for word, count in counts.items():
        parts = tuple(token.value for token in tokenizer.model.tokenize(word))
        if "".join(parts) == word:  # not so where a byte has no piece of its own
            cut[parts] += count
    return cut


def learn(
    words: Counter[tuple[str, ...]], known: set[str], most: int, min_count: int
) -> list[Pair]:
    """At most `most` merges, each of the pair most frequent at its time; ties go by the text.

    A pair whose text is `known`, or was made before from another pair, is never merged: two ways
    to one piece would break the correspondence with the base's encoding.
    """
    cut = [list(word) for word in words]
    weight = list(words.values())
    counts: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)
    for number, word in enumerate(cut):
        for pair in pairwise(word):
            counts[pair] += weight[number]
            where[pair].add(number)

    taken = set(known)
    merges: list[Pair] = []
    heap = [(-count, pair) for pair, count in counts.items() if count >= min_count]
    heapq.heapify(heap)
    while heap and len(merges) < most:
        count, best = heapq.heappop(heap)
        if -count != counts[best]:
            if counts[best] >= min_count:
                heapq.heappush(heap, (-counts[best], best))
            continue
        if "".join(best) in taken:
            continue
        taken.add("".join(best))
        merges.append(best)
        touched: set[Pair] = set()
        for number in where.pop(best):
            word = cut[number]
            for pair in pairwise(word):
                counts[pair] -= weight[number]
            word[:] = _merged(word, best)
            for pair in pairwise(word):
                counts[pair] += weight[number]
                where[pair].add(number)
                touched.add(pair)
        for pair in touched:
            if best[0] + best[1] in pair and counts[pair] >= min_count:
                heapq.heappush(heap, (-counts[pair], pair))
    return merges


def fertility(tokenizer: Any, corpus: Path) -> dict[str, float]:
    """What a corpus costs in a tokenizer: totals, and tokens per word (run of non-white space).

    Fertility is the mean number of tokens per word (Rust et al. 2021,
    https://aclanthology.org/2021.acl-long.243, section 4).
    """
    tokens = characters = spaced = size = 0
    for document in documents(corpus):
        tokens += len(tokenizer.encode(document.text, add_special_tokens=False).ids)
        characters += len(document.text)
        spaced += len(document.text.split())
        size += len(document.text.encode())
    return {
        "tokens": tokens,
        "characters": characters,
        "words": spaced,
        "bytes": size,
        "tokens_per_word": tokens / max(spaced, 1),
        "tokens_per_character": tokens / characters,
        "bytes_per_token": size / tokens,
    }


def _merged(word: list[str], pair: Pair) -> list[str]:
    """`word` with each `pair` in it made one piece, from the left."""
    result: list[str] = []
    at = 0
    while at < len(word):
        together = tuple(word[at : at + 2]) == pair
        result.append("".join(pair) if together else word[at])
        at += 2 if together else 1
    return result


def _byte_level(base: Path) -> Any:
    """The base's tokenizer.json; Complaint unless it is a byte-level BPE tokenizer."""
    path = base / "tokenizer.json"
    supported = "only byte-level BPE (as in GPT-2, SmolLM2, Qwen, Llama 3) can be grown"
    if not path.exists():
        raise Complaint(f"{base}: found no tokenizer.json; {supported}; choose another base")
    content = read_json(path)
    model = content["model"]
    cutter = content.get("pre_tokenizer") or {}
    found = [
        reason
        for wrong, reason in [
            (model.get("type") != "BPE", f"a {model.get('type')} model"),
            (
                "ByteLevel" not in {each["type"] for each in cutter.get("pretokenizers", [cutter])},
                f"the pre-tokenizer {cutter.get('type')} without ByteLevel",
            ),
            (model.get("byte_fallback"), "byte fallback"),
            (model.get("dropout"), "BPE dropout"),
            (model.get("continuing_subword_prefix"), "a prefix on continuing pieces"),
            (model.get("end_of_word_suffix"), "a suffix on word ends"),
        ]
        if wrong
    ]
    if found:
        raise Complaint(f"{path}: found {', '.join(found)}; {supported}; choose another base")
    return content


if __name__ == "__main__":
    step.run(extend, Tokenizer)
