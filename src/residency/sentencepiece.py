"""The SentencePiece BPE family, with byte fallback: how its text is cut, tokenizer.model written.

Such a tokenizer cuts no words before it merges, so `chunks` and `words` keep new pieces inside
words, as SentencePiece's own trainer does by default (Kudo and Richardson 2018,
https://aclanthology.org/D18-2012; trainer_spec: split_by_whitespace, split_by_unicode_script,
split_by_number, and split_digits, with which Llama was trained): a new piece holds letters and
marks of one script, behind at most one ▁ for the space, or one single character.

tokenizer.model has no merges: any neighbours that together are a piece are merged, by score. That
gives the same as the one merge in tokenizer.json. A text that tokens cover is always covered by
those that it has when it stands alone (no merge crossed its ends: Berglund and van der Merwe 2023,
https://arxiv.org/abs/2309.08715), so at any time there is one way only to make a piece.
Where the base's two files encode a text alike, the grown ones do (in runs of spaces Llama 2's do
not: tokenizer.model merges them last, its conversion first).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from residency.bpe import Words, encoded, within
from residency.section import Complaint

SPACE = "▁"
_ENDS = "\n\t\r\u3000，。、；：？！…—（）《》〈〉“”‘’「」『』【】〔〕"
_NONE, _MARKS, _ALONE = 0, 1, 2


def chunker(backend: Any) -> Any:
    """The tokenizer with a pre-tokenizer that cuts where no piece of its model could reach across.

    So the chunks, encoded each by itself, give the encoding of the whole.
    """
    from tokenizers import Regex, Tokenizer, pre_tokenizers

    found = Tokenizer.from_str(backend.to_str())
    pieces = [piece for piece in backend.get_vocab(with_added_tokens=False) if len(piece) > 1]
    ends = set(_ENDS)
    while reaching := {
        left
        for piece in pieces
        for left, right in pairwise(piece)
        if left in ends and right not in ends
    }:
        ends -= reaching
    inside = any(right == SPACE != left for piece in pieces for left, right in pairwise(piece))
    space, stop = "" if inside else SPACE, "".join(sorted(ends))
    leading, trailing = f"{space}*" if space else "", f"[{stop}]*" if stop else ""
    middle = f"[^{space}{stop}]*" if space + stop else ""
    cut = pre_tokenizers.Split(Regex(f"{leading}{middle}{trailing}"), "isolated")
    before = [] if backend.pre_tokenizer is None else [backend.pre_tokenizer]
    found.pre_tokenizer = pre_tokenizers.Sequence([*before, cut])
    return found


def words(backend: Any, chunks: dict[str, int]) -> Words:
    """Words of pieces that may become new ones, from chunks with their counts.

    Characters that the base spells in bytes stand as themselves, behind all of its pieces.
    """
    from tokenizers import Tokenizer

    content = orjson.loads(backend.to_str())
    vocabulary: dict[str, int] = content["model"]["vocab"]
    size = max(backend.get_vocab().values()) + 1
    missing = sorted(set().union(*map(set, chunks)) - set(vocabulary))
    vocabulary.update({character: size + n for n, character in enumerate(missing)})
    content["added_tokens"] = []
    model = Tokenizer.from_str(orjson.dumps(content).decode()).model
    which, sizes = encoded(model, chunks)
    texts = [""] * (size + len(missing))
    for piece, number in vocabulary.items():
        texts[number] = piece
    counts = np.fromiter(chunks.values(), np.int64, len(chunks))
    classes = _classes(texts)[which]
    # A mark is of the script before it.
    last = np.maximum.accumulate(np.where(classes == _MARKS, 0, np.arange(len(classes))))
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    classes = np.where(last >= first, classes[last], _NONE) if len(classes) else classes
    spaced = np.array([text.startswith(SPACE) for text in texts], np.bool_)[which]
    joins = within(sizes)
    after = np.append(classes[1:], _NONE)
    joins &= (classes == after) | (classes == _ALONE)
    joins &= (after > _ALONE) & ~np.append(spaced[1:], False)
    return Words(
        texts=texts, which=which, counts=np.repeat(counts, sizes), joins=joins, spelled=size
    )


def _classes(texts: list[str]) -> Any:
    """A number for each piece: of its script, or _MARKS, _ALONE (the space) or _NONE."""
    scripts: dict[str, int] = {}
    numbers = np.zeros(len(texts), np.int64)
    for number, text in enumerate(texts):
        rest = text.removeprefix(SPACE)
        found = {_script(character) for character in rest}
        if text == SPACE:
            numbers[number] = _ALONE
        elif rest and found == {"mark"} and rest == text:
            numbers[number] = _MARKS
        elif rest and len(found - {"mark"}) == 1 and "" not in found and _script(rest[0]) != "mark":
            numbers[number] = scripts.setdefault((found - {"mark"}).pop(), len(scripts) + 3)
    return numbers


def _script(character: str) -> str:
    """Of a letter, by the first word of its name; kana counts as Chinese; "mark"; else nothing."""
    kind = unicodedata.category(character)[0]
    if kind != "L":
        return "mark" if kind == "M" else ""
    name = unicodedata.name(character, "").split(" ")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA") else name


def read_model(path: Path) -> Any:
    """A tokenizer.model as SentencePiece's ModelProto; Complaint for another kind of file."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        raise Complaint(f"{path}: found no SentencePiece model, expected one") from None
    return model


def write_model(model: Any, ids: dict[str, int], new: Iterable[str], path: Path) -> None:
    """Append pieces to a model with falling scores, so that each is merged after those before it.

    A score is a float32 and the lowest may be -1e9 (Llama's runs of ▁): each is the next below.

    `ids`: of the whole grown vocabulary; what in it is an added token behind the model's pieces
    becomes a control piece, which no text matches, so that ids stay what they are.
    """
    from sentencepiece import sentencepiece_model_pb2

    kinds = sentencepiece_model_pb2.ModelProto.SentencePiece.Type  # type: ignore[attr-defined]
    ordinary = set(new)
    lowest = np.float32(min(each.score for each in model.pieces))
    for piece, number in sorted(ids.items(), key=lambda item: item[1]):
        if number < len(model.pieces):
            if model.pieces[number].piece != piece:
                raise Complaint(
                    f"{path.name}: its piece {number} is {model.pieces[number].piece!r}, expected "
                    f"{piece!r} as in tokenizer.json; remove the one that is wrong"
                )
            continue
        if number > len(model.pieces):
            raise Complaint(
                f"{path.name}: no piece has the id {len(model.pieces)}, expected one for each id; "
                "give a base whose ids have no gap, or remove its tokenizer.model"
            )
        if piece in ordinary:
            lowest = np.nextafter(lowest, np.float32(-np.inf))
        model.pieces.add(
            piece=piece,
            score=float(lowest) if piece in ordinary else 0,
            type=kinds.NORMAL if piece in ordinary else kinds.CONTROL,
        )
    model.DiscardUnknownFields()  # a self-test of the old pieces may stand there
    model.trainer_spec.vocab_size = len(model.pieces)
    path.write_bytes(model.SerializeToString(deterministic=True))
