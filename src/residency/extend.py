"""extend: grow a tokenizer by domain tokens and say from which old pieces each is made.

    corpus ── the base's own segmentation ──> words of base pieces ── BPE ──> new merges
    tokenizer.json = the base's, with the new merges after its last and the new ids after its last

The new pieces are BPE merges (Sennrich et al. 2016, https://aclanthology.org/P16-1162, Algorithm 1)
that start where the base's merges end, not added tokens, which would be cut out of the text before
the base's pre-tokenizer sees it. So a new piece put back into its old ones is always exactly the
base's encoding, and a text without a new piece is encoded as before.

Both families of BPE are grown: on bytes (`residency.bpe` alone) and SentencePiece with byte
fallback (`residency.sentencepiece` says how its text is cut and how tokenizer.model is written).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from residency import sentencepiece, step
from residency.bpe import Parts, Words, counted, encoded, learn, within
from residency.cost import cost, plain, texts
from residency.embeddings import Embeddings
from residency.files import read_json, write_json
from residency.section import Complaint, Name, Section
from residency.worth import Auto, decide

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
    embeddings: Embeddings = Field(description="How a model's rows of the new pieces begin.")

    @model_validator(mode="after")
    def _auto_if_auto(self) -> Tokenizer:
        if (self.new_tokens == "auto") != (self.auto is not None):
            raise ValueError(
                "auto says how new_tokens is decided where that is auto, and is null elsewhere"
            )
        return self


class Grown(NamedTuple):
    """A tokenizer.json with new pieces."""

    content: dict[str, Any]
    ids: dict[str, int]  # of all pieces and added tokens
    pieces: dict[str, list[int]]  # of each new piece, in order, the base's ids in its place


def extend(tokenizer: Tokenizer, base: Path, corpus: Path, out: Path) -> None:
    """Append merges to a BPE tokenizer of either family; pieces.json maps new ids to old ones.

    `base`: a model's folder; `corpus`: a folder of build/corpora. Writes a tokenizer folder that
    AutoTokenizer loads (tokenizer.json, and tokenizer.model where the base has one), pieces.json
    ({"new id": [old ids]}), frequencies.npy (int64 [ids of the base]: how often the base uses each
    piece in the corpus), embeddings.json (that section) and fertility.json (`cost` of the corpus
    before and after, and how many pieces were "added": fewer than asked where it has no more). With
    `new_tokens: auto` also curve.json, what each size was found to be worth.

    Each new piece was met `min_count` times when it was made, though later ones may have taken it
    up since; and there is a text in whose encoding it stands.

    Raises Complaint for a tokenizer of another kind and for a corpus that yields no piece.
    """
    from transformers import AutoTokenizer

    content = _content(base)
    old = AutoTokenizer.from_pretrained(base)
    known: dict[str, int] = old.get_vocab()

    def merges_of(words: Words, most: int, banned: set[str]) -> list[Parts]:
        merges = learn(words, {*known, *banned}, most, tokenizer.min_count)
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
            lambda part, most: merges_of(segment(old.backend_tokenizer, texts(part)), most, set()),
            lambda merges: _backend(grow(content, known, list(merges))),
        )
        write_json(out / "curve.json", curve)
        most = curve["chosen"]
    assert isinstance(most, int)
    words = segment(old.backend_tokenizer, texts(corpus))
    banned: set[str] = set()
    while True:
        merges = merges_of(words, most, banned)
        grown = grow(content, known, merges)
        unreachable = _unreachable(grown)
        if not unreachable:
            break
        banned |= unreachable

    _write(grown, base, out)
    new = AutoTokenizer.from_pretrained(out)
    if new.get_vocab() != grown.ids:
        raise Complaint(
            f"{base}: {type(new).__name__} does not load the pieces added to its tokenizer.json, "
            "expected a class that does; set tokenizer_class to TokenizersBackend in its "
            "tokenizer_config.json"
        )
    made = {str(grown.ids[piece]): parts for piece, parts in grown.pieces.items()}
    write_json(out / "pieces.json", made)
    write_json(out / "embeddings.json", tokenizer.embeddings.canonical())
    np.save(out / "frequencies.npy", frequencies(words, known))
    write_json(
        out / "fertility.json",
        {
            "added": len(merges),
            "corpus": corpus.name,
            "before": cost(plain(old.backend_tokenizer), texts(corpus)),
            "after": cost(plain(new.backend_tokenizer), texts(corpus)),
        },
    )


def _backend(grown: Grown) -> Any:
    """The `tokenizers.Tokenizer` of a grown tokenizer.json."""
    from tokenizers import Tokenizer as Backend

    return plain(Backend.from_buffer(orjson.dumps(grown.content)))


def _parameters(base: Path) -> int:
    """How many parameters one more piece adds to a model: its rows in the embeddings."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, local_files_only=True).get_text_config()
    return int(config.hidden_size) * (1 if config.tie_word_embeddings else 2)


def segment(tokenizer: Any, texts: Iterable[str]) -> Words:
    """The words of texts, each as the base's pieces, with how often it occurs.

    `tokenizer`: a `tokenizers.Tokenizer`, whose own normalizer and pre-tokenizer cut the text
    between its added tokens.
    """
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    between = _between(texts, added)
    if not _is_byte_level(orjson.loads(tokenizer.to_str())):
        return sentencepiece.words(tokenizer, counted(sentencepiece.chunker(tokenizer), between))
    words = counted(tokenizer, between)
    ids = tokenizer.get_vocab()
    texts_of = [""] * (max(ids.values()) + 1)
    for piece, number in ids.items():
        texts_of[number] = piece
    which, sizes = encoded(tokenizer.model, words)
    counts = np.repeat(np.fromiter(words.values(), np.int64, len(words)), sizes)
    # Where a byte has no piece of its own, the model leaves it out.
    widths = np.array([len(text) for text in texts_of], np.int64)
    spelt = np.bincount(np.repeat(np.arange(len(sizes)), sizes), widths[which], len(sizes))
    whole = np.repeat(spelt == np.fromiter(map(len, words), np.int64, len(words)), sizes)
    return Words(texts_of, which, counts, within(sizes) & whole, len(texts_of))


def frequencies(words: Words, ids: dict[str, int]) -> NDArray[np.int64]:
    """How often each of the base's ids occurs in words that it segmented: int64 [ids]."""
    found = words.frequencies()
    for character, count in zip(words.texts[words.spelled :], found[words.spelled :], strict=True):
        np.add.at(found, _spelled(character, ids), count)
    return found[: words.spelled]


def grow(content: dict[str, Any], ids: dict[str, int], merges: list[Parts]) -> Grown:
    """A tokenizer.json with merges behind its last; `ids`: of the base's pieces and added tokens.

    Nothing of the base changes but this: an added token that the model's own vocabulary lacks is
    written there, since loading would give it the next free id, which the new pieces move.
    """
    ids = dict(ids)
    pieces: dict[str, list[int]] = {}
    for number, parts in enumerate(merges, max(ids.values()) + 1):
        piece = "".join(parts)
        pieces[piece] = (
            _spelled(piece, ids)
            if len(parts) == 1
            else [old for part in parts for old in pieces.get(part, [ids[part]])]
        )
        ids[piece] = number
    model = content["model"]
    as_lists = not any(isinstance(pair, str) for pair in model["merges"])
    pairs = [parts for parts in merges if len(parts) > 1]
    appended = [list(pair) if as_lists else " ".join(pair) for pair in pairs]
    vocabulary = dict(sorted(ids.items(), key=lambda item: item[1]))
    model = {**model, "vocab": vocabulary, "merges": [*model["merges"], *appended]}
    return Grown({**content, "model": model}, ids, pieces)


def _write(grown: Grown, base: Path, out: Path) -> None:
    content = orjson.dumps(grown.content, option=orjson.OPT_INDENT_2)
    (out / "tokenizer.json").write_bytes(content)
    for name in COPIED:
        if (base / name).is_dir():
            shutil.copytree(base / name, out / name)
        elif (base / name).exists():
            shutil.copyfile(base / name, out / name)
    if not _is_byte_level(grown.content) and (base / "tokenizer.model").exists():
        model = sentencepiece.read_model(base / "tokenizer.model")
        sentencepiece.write_model(model, grown.ids, grown.pieces, out / "tokenizer.model")


def _between(texts: Iterable[str], added: list[str]) -> Iterator[str]:
    """What stands between the added tokens of texts."""
    start = added[0] if added else ""
    while not all(token.startswith(start) for token in added):
        start = start[:-1]
    cut = re.compile("|".join(map(re.escape, sorted(added, key=len, reverse=True))))
    for text in texts:
        if added and start in text:
            yield from cut.split(text)
        else:
            yield text


def _spelled(character: str, ids: dict[str, int]) -> list[int]:
    return [ids[f"<0x{byte:02X}>"] for byte in character.encode()]


def _unreachable(grown: Grown) -> set[str]:
    """New pieces that no text was found to yield.

    Tried are the piece's own text, alone and beside a sign, and for a piece that begins or ends
    inside a character, every way to complete it.
    """
    from tokenizers import Tokenizer

    backend = Tokenizer.from_buffer(orjson.dumps(grown.content))
    surface = _bytes_of if _is_byte_level(grown.content) else _spaced
    untried = {piece: _holding(surface(piece)) for piece in grown.pieces}
    lost: set[str] = set()
    first = True
    while untried:
        tried = {piece: list(islice(ways, 1 if first else 64)) for piece, ways in untried.items()}
        first = False
        owners = [piece for piece, ways in tried.items() for _ in ways]
        texts = [text for ways in tried.values() for text in ways]
        encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
        lost |= {piece for piece, ways in tried.items() if not ways}
        met = {
            piece
            for piece, found in zip(owners, encodings, strict=True)
            if grown.ids[piece] in found.ids
        }
        untried = {
            piece: ways for piece, ways in untried.items() if piece not in met and tried[piece]
        }
    return lost


def _holding(surface: bytes) -> Iterator[str]:
    """Texts that hold these bytes, with what whole characters need around them, and a sign."""
    front = next((at for at, byte in enumerate(surface) if byte not in _INSIDE), len(surface))
    widths = [width for width in (2, 3, 4) if front < width] if front else []
    if front == len(surface):
        around = [(n, width - front - n) for width in widths for n in range(1, width - front + 1)]
    else:
        last = max(at for at, byte in enumerate(surface) if byte not in _INSIDE)
        missing = max(0, _width(surface[last]) - (len(surface) - last))
        around = [(width - front, missing) for width in widths] or [(0, missing)]
    for before, after in around:
        leads = [bytes([lead]) for lead in range(0xC2, 0xF5)] if before else [b""]
        middle = max(0, before - 1)
        for lead, rest in product(leads, product(_INSIDE, repeat=middle + after)):
            whole = lead + bytes(rest[:middle]) + surface + bytes(rest[middle:])
            try:
                text = whole.decode()
            except UnicodeDecodeError:
                continue
            yield from (text, f"\n{text}", f"{text}\n", f"({text}", f"{text}.", f"x{text}")


_INSIDE = range(0x80, 0xC0)
"""Bytes of UTF-8 that begin no character."""


def _width(lead: int) -> int:
    """Bytes of the character that begins with this one."""
    return 1 + (lead >= 0xC2) + (lead >= 0xE0) + (lead >= 0xF0)


# GPT-2 shows each byte as a character: itself where that can be seen, else one from 256 on.
_SEEN = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_HIDDEN = sorted(set(range(256)) - set(_SEEN))
_BYTE = {chr(byte): byte for byte in _SEEN} | {chr(256 + n): b for n, b in enumerate(_HIDDEN)}


def _bytes_of(piece: str) -> bytes:
    return bytes(map(_BYTE.__getitem__, piece))


def _spaced(piece: str) -> bytes:
    return piece.replace(sentencepiece.SPACE, " ").encode()


def _is_byte_level(content: dict[str, Any]) -> bool:
    cutter = content.get("pre_tokenizer") or {}
    kinds = {each["type"] for each in cutter.get("pretokenizers", [cutter]) if each}
    return "ByteLevel" in kinds


def _content(base: Path) -> dict[str, Any]:
    """The base's tokenizer.json, or what its tokenizer.model says; Complaint unless BPE."""
    from transformers import AutoTokenizer

    path = base / "tokenizer.json"
    supported = (
        "only byte-level BPE (as in GPT-2, SmolLM2, Qwen, Llama 3) and SentencePiece BPE with byte "
        "fallback (as in Llama 2) can be grown"
    )
    if path.exists():
        content: dict[str, Any] = read_json(path)
    elif (path := base / "tokenizer.model").exists():
        kind = sentencepiece.read_model(path).trainer_spec.ModelType
        found = sentencepiece.read_model(path).trainer_spec.model_type
        if found != kind.Value("BPE"):
            raise Complaint(
                f"{path}: found a {kind.Name(found)} model; {supported}; choose another base"
            )
        content = orjson.loads(AutoTokenizer.from_pretrained(base).backend_tokenizer.to_str())
    else:
        raise Complaint(
            f"{base}: found no tokenizer.json and no tokenizer.model; {supported}; "
            "choose another base"
        )
    model = content["model"]
    cutter = content.get("pre_tokenizer") or {}
    wrong = [
        reason
        for unfit, reason in [
            (model.get("type") != "BPE", f"a {model.get('type')} model"),
            (
                not _is_byte_level(content) and not model.get("byte_fallback"),
                f"the pre-tokenizer {cutter.get('type')} without ByteLevel, and no byte fallback",
            ),
            (_is_byte_level(content) and model.get("byte_fallback"), "ByteLevel and byte fallback"),
            (
                not _is_byte_level(content)
                and model.get("byte_fallback")
                and not all(f"<0x{byte:02X}>" in model["vocab"] for byte in range(256)),
                "byte fallback without a piece for each byte",
            ),
            (model.get("dropout"), "BPE dropout"),
            (model.get("continuing_subword_prefix"), "a prefix on continuing pieces"),
            (model.get("end_of_word_suffix"), "a suffix on word ends"),
        ]
        if unfit
    ]
    if wrong:
        raise Complaint(f"{path}: found {', '.join(wrong)}; {supported}; choose another base")
    return content


if __name__ == "__main__":
    step.run(extend, Tokenizer)
