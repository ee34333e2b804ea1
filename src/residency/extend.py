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
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from residency import step
from residency.cost import cost, plain, texts
from residency.files import read_json, write_json
from residency.records import documents
from residency.section import Complaint, Name, Section
from residency.worth import Auto, decide

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


Number = Annotated[
    Annotated[PositiveInt, Tag("<number>")] | Annotated[Literal["auto"], Tag("<auto>")],
    Discriminator(lambda value: "<auto>" if isinstance(value, str) else "<number>"),
]


class Tokenizer(Section):
    """A base tokenizer plus domain merges learned on a corpus."""

    base: Name = Field(description="Model whose tokenizer is grown.")
    corpus: Name = Field(description="Corpus on which the new merges are learned.")
    new_tokens: Number = Field(
        description="How many pieces to add at most; auto: as many as are worth their parameters."
    )
    auto: Auto | None = Field(description="How auto decides where new_tokens is auto, else null.")
    min_count: int = Field(ge=2, description="A pair met less often in the corpus is not merged.")

    @model_validator(mode="after")
    def _auto_if_auto(self) -> Tokenizer:
        if (self.new_tokens == "auto") != (self.auto is not None):
            raise ValueError(
                "auto says how new_tokens is decided where that is auto, and is null elsewhere"
            )
        return self


def extend(tokenizer: Tokenizer, base: Path, corpus: Path, out: Path) -> None:
    """Append merges to a byte-level BPE tokenizer; pieces.json maps new ids to old ones.

    `base`: a model's folder; `corpus`: a folder of build/corpora. Writes a tokenizer folder that
    AutoTokenizer loads, pieces.json ({"new id": [old ids]}) and fertility.json (`cost` of the
    corpus before and after, and how many pieces were "added": fewer than asked where it has no
    more). With `new_tokens: auto` also curve.json, what each size was found to be worth.

    Raises Complaint for a tokenizer of another kind and for a corpus that yields no piece.
    """
    from transformers import AutoTokenizer

    content = _byte_level(base)
    old = AutoTokenizer.from_pretrained(base)
    known: dict[str, int] = old.get_vocab()

    def merges_of(corpus: Path, most: int) -> list[Pair]:
        cut = segment(old.backend_tokenizer, corpus)
        merges = learn(cut, set(known), most, tokenizer.min_count)
        if not merges:
            raise Complaint(
                f"{corpus}: no new pair of pieces occurs min_count = {tokenizer.min_count} times, "
                "expected at least one; lower min_count or give a larger corpus"
            )
        return merges

    most = tokenizer.new_tokens
    if tokenizer.auto is not None:
        curve = decide(
            tokenizer.auto,
            corpus,
            _parameters(base),
            merges_of,
            lambda merges: _backend(appended(content, known, merges)),
        )
        write_json(out / "curve.json", curve)
        most = curve["chosen"]
    assert isinstance(most, int)
    merges = merges_of(corpus, most)
    grown = appended(content, known, merges)

    ids = dict(grown["model"]["vocab"])
    pieces: dict[int, list[int]] = {}
    for left, right in merges:
        parts = (ids[left], ids[right])
        pieces[ids[left + right]] = [
            old_id for part in parts for old_id in pieces.get(part, [part])
        ]
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
    write_json(
        out / "fertility.json",
        {
            "added": len(merges),
            "corpus": corpus.name,
            "before": cost(plain(old.backend_tokenizer), texts(corpus)),
            "after": cost(plain(new.backend_tokenizer), texts(corpus)),
        },
    )


def appended(content: Any, known: dict[str, int], merges: Sequence[Pair]) -> Any:
    """A tokenizer.json with merges after its last; `known`: every piece's id, added tokens' too.

    Loading gives an added token that the model's own vocabulary lacks the next free id, which the
    new pieces would move: it is written down where it is.
    """
    first = max(known.values()) + 1
    ids = known | {left + right: piece for piece, (left, right) in enumerate(merges, first)}
    as_lists = not any(isinstance(pair, str) for pair in content["model"]["merges"])
    more = [list(pair) if as_lists else " ".join(pair) for pair in merges]
    return content | {
        "model": content["model"]
        | {
            "vocab": dict(sorted(ids.items(), key=lambda item: item[1])),
            "merges": [*content["model"]["merges"], *more],
        }
    }


def _backend(content: Any) -> Any:
    """The `tokenizers.Tokenizer` of a tokenizer.json."""
    from tokenizers import Tokenizer as Backend

    return plain(Backend.from_str(orjson.dumps(content).decode()))


def _parameters(base: Path) -> int:
    """How many parameters one more piece adds to a model: its rows in the embeddings."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, local_files_only=True).get_text_config()
    return int(config.hidden_size) * (1 if config.tie_word_embeddings else 2)


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
