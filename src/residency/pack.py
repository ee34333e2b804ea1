"""pack: text or conversations become token blocks with document boundaries and loss masks.

    tokens.npy     int32 [blocks, length]   ids; the pad token where nothing is
    positions.npy  int32 [blocks, length]   0, 1, 2, ... anew in each document, and in the padding
    loss.npy       uint8 [blocks, length]   1 where the token is to be predicted from those before

A document is a corpus's document, or a question as a conversation. Documents are put into blocks by
best-fit decreasing, so that none is cut but those longer than a block (Ding et al. 2024, "Fewer
Truncations Improve Language Modeling", arXiv 2404.10830). Each pass over the data is
packed by itself: what is passed over twice does not meet itself in one block.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from residency import prompts, step
from residency.records import Document, Rejected, documents, questions, write_ledger
from residency.section import Complaint, Name, Section

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Pack(Section):
    """What a model learns from, and in blocks of what length."""

    objective: Literal["pretrain", "instruct"] = Field(
        description="pretrain: every token of corpora; instruct: the answers to questions."
    )
    data: dict[Name, int] = Field(
        min_length=1,
        description="Corpora (pretrain), or exams' train splits and question sets (instruct), "
        "each with how often it is passed over in one epoch.",
    )
    length: int = Field(ge=8, description="Block length in tokens.")
    options: Literal["shown", "hidden"] | None = Field(
        description="instruct: whether the prompt lists the options; pretrain: null."
    )
    system: str | None = Field(
        description="instruct: what the system turn says, the same as in the evaluations; null "
        "leaves it to the chat template, which may put one of its own; pretrain: null."
    )


OTHER_KIND = "kind not learned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What stays together in a block: a document, or a block's length of a longer one."""

    tokens: npt.NDArray[np.int32]
    learned: int  # how many of the last tokens are to be predicted
    bytes: int  # of UTF-8 text that the learned tokens stand for
    starts: bool  # the first piece of its document


def pack(pack: Pack, tokenizer: Path, data: list[Path], out: Path) -> None:
    """Pack token blocks into tokens.npy, positions.npy and loss.npy.

    `tokenizer`: a folder of build/tokenizers or build/models; `data`: folders of build/corpora,
    or .jsonl files of questions, in the order of `pack.data`. The counts in the ledger are those of
    one epoch, all passes together; "bytes" are of the text that is learned, for bits per byte.

    Raises Complaint where data is empty or of the other objective's kind, or nothing is learned.
    """
    import numpy as np
    from transformers import AutoTokenizer

    coder = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    rejected: list[Rejected] = []
    kinds: list[list[Piece]] = []
    for name, path in zip(pack.data, data, strict=True):
        _check(pack, name, path)
        before = len(rejected)
        if pack.objective == "pretrain":
            kinds.append(list(_text(coder, documents(path), pack.length)))
        else:
            kinds.append(list(_conversations(pack, coder, path, rejected)))
        if not kinds[-1] and len(rejected) == before:
            raise Complaint(f"pack.data.{name}: {path} is empty; leave it out, or fill its split")

    blocks: list[list[Piece]] = []
    for turn in range(max(pack.data.values())):
        passed = zip(pack.data.values(), kinds, strict=True)
        pieces = [piece for passes, kind in passed if turn < passes for piece in kind]
        blocks += best_fit(pieces, pack.length)
    packed = [piece for block in blocks for piece in block]
    kept = {
        "blocks": len(blocks),
        "documents": sum(piece.starts for piece in packed),
        "tokens": sum(len(piece.tokens) for piece in packed),
        "learned": sum(piece.learned for piece in packed),
        "bytes": sum(piece.bytes for piece in packed),
    }
    if kept["learned"] == 0:
        reasons = Counter(each.reason for each in rejected)
        left_out = f"{reasons['too long']} were too long, {reasons[OTHER_KIND]} of another kind"
        raise Complaint(
            f"{', '.join(pack.data)}: nothing to learn in {kept['documents']} documents of at most "
            f"{pack.length} tokens ({left_out}); expected at least one token "
            "that follows another: give more data or raise pack.length"
        )

    shape = (len(blocks), pack.length)
    tokens = np.full(shape, coder.pad_token_id, np.int32)
    positions = np.zeros(shape, np.int32)
    loss = np.zeros(shape, np.uint8)
    for row, block in enumerate(blocks):
        at = 0
        for piece in block:
            end = at + len(piece.tokens)
            tokens[row, at:end] = piece.tokens
            positions[row, at:end] = np.arange(end - at)
            loss[row, end - piece.learned : end] = 1
            at = end
        positions[row, at:] = np.arange(pack.length - at)
    for stem, array in ("tokens", tokens), ("positions", positions), ("loss", loss):
        np.save(out / f"{stem}.npy", array)
    write_ledger(out, kept, rejected)


def best_fit(pieces: Iterable[Piece], length: int) -> list[list[Piece]]:
    """Blocks of at most `length` tokens: the longest piece first, each where least room is left."""
    blocks: list[list[Piece]] = []
    rooms: list[int] = []  # the room left in blocks, each size once, ascending
    having: dict[int, list[int]] = {}  # blocks by the room left in them
    for piece in sorted(pieces, key=lambda piece: -len(piece.tokens)):
        size = len(piece.tokens)
        fit = bisect_left(rooms, size)
        if fit == len(rooms):
            block, room = len(blocks), length
            blocks.append([])
        else:
            room = rooms[fit]
            block = having[room].pop()
            if not having[room]:
                del having[room], rooms[fit]
        blocks[block].append(piece)
        left = room - size
        if left:
            if left not in having:
                having[left] = []
                insort(rooms, left)
            having[left].append(block)
    return blocks


def titled(document: Document) -> str:
    """A document's text below its headings, which say what the text is about."""
    headings = " — ".join(document.section)
    return f"{headings}\n\n{document.text}" if headings else document.text


def _check(pack: Pack, name: str, path: Path) -> None:
    if pack.objective == "pretrain" and not (path / "documents.jsonl").is_file():
        raise Complaint(f"pack.data.{name}: pretrain learns corpora, and {path} is none")
    if pack.objective == "instruct" and not path.is_file():
        raise Complaint(
            f"pack.data.{name}: instruct learns questions, expected a .jsonl file, found {path}"
        )


def _text(coder: Any, texts: Iterator[Document], length: int) -> Iterator[Piece]:
    """Documents with an end-of-text token after each, cut every `length` tokens.

    The first token of a piece has nothing before it, so it is not learned.
    """
    import numpy as np

    opening = prompts.opening(coder)
    while batch := [titled(document) for document in islice(texts, 1000)]:
        encoded = coder(
            batch,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
        )
        rows = zip(batch, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        for text, ids, offsets in rows:
            tokens = np.array([*opening, *ids, coder.eos_token_id], np.int32)
            # How much of the text stands before each token, and before the end.
            before = [0] * (1 + len(opening)) + [end for _, end in offsets] + [len(text)]
            for start in range(0, len(tokens), length):
                end = min(start + length, len(tokens))
                yield Piece(
                    tokens=tokens[start:end],
                    learned=end - start - 1,
                    bytes=len(text[before[start + 1] : before[end]].encode()),
                    starts=start == 0,
                )


def _conversations(pack: Pack, coder: Any, path: Path, rejected: list[Rejected]) -> Iterator[Piece]:
    """Questions as conversations of which the right answer and its stop are learned."""
    import numpy as np

    assert pack.options is not None
    for question in questions(path):
        if question.kind not in prompts.ASKED:
            detail = f"{question.kind}; learned are {', '.join(prompts.ASKED)}"
            rejected.append(
                Rejected(id=question.id, reason=OTHER_KIND, detail=detail, item=question)
            )
            continue
        told = prompts.answer(question, question.answers)
        asked = prompts.prompt(coder, prompts.ask(question, pack.options), pack.system)
        answered = prompts.reply(coder, told)
        size = len(asked) + len(answered)
        if size > pack.length:
            detail = f"{size} tokens do not fit a block of {pack.length}"
            rejected.append(
                Rejected(id=question.id, reason="too long", detail=detail, item=question)
            )
            continue
        yield Piece(
            tokens=np.array(asked + answered, np.int32),
            learned=len(answered),
            bytes=len(told.encode()),
            starts=True,
        )


if __name__ == "__main__":
    step.run(pack, Pack)
