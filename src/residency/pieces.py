"""pieces: documents and questions become tokens in a file, cut so that each piece fits a block.

    documents.jsonl ─┐                                  ┌─> one file of all tokens
                     ├─ chunks ── tokenised, in parallel ┤
    questions.jsonl ─┘                                  └─> where each piece and document is

Of a whole corpus only some 50 bytes a document are held in memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from residency import parallel, prompts
from residency.bestfit import PIECE, Pieces
from residency.records import Document, Question, Rejected
from residency.section import Complaint, draw

CHUNK = 1 << 23
"""Bytes of JSON lines that a process takes at a time."""

BATCH = 1 << 19
"""Characters that are tokenised at a time."""

NO_ANSWER, TOO_LONG = "no answer", "too long"

DOCUMENT = np.dtype(
    [
        ("draw", "<u8"),  # a hash of the seed and of what it belongs to
        ("content", "<u8"),  # a hash of its text, or of what is asked
        ("place", "<i8"),  # of its line in the file, in bytes
    ]
)


class Chunk(NamedTuple):
    """Some lines of a file: from one byte to another."""

    path: Path
    start: int
    end: int


class Found(NamedTuple):
    """What is in a chunk: starts and document numbers are counted from its own beginning."""

    tokens: NDArray[np.int32]
    pieces: Pieces
    documents: NDArray[np.void]
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class Source:
    """All documents of a file, their tokens left on disk."""

    path: Path
    pieces: Pieces
    documents: NDArray[np.void]
    rejected: list[Rejected]
    largest: int  # token id, -1 where there is none

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Tokens of each document."""
        sizes = np.bincount(
            self.pieces["document"], self.pieces["length"], minlength=len(self.documents)
        )
        return sizes.astype(np.int64)

    def of(self, chosen: NDArray[np.bool_]) -> Pieces:
        """The pieces of some documents."""
        pieces: Pieces = self.pieces[chosen[self.pieces["document"]]]
        return pieces

    def row(self, document: int) -> Any:
        """A document as it stands in the file."""
        with self.path.open("rb") as file:
            file.seek(self.documents["place"][document])
            return orjson.loads(file.readline())


def read(path: Path, cut: Callable[[Chunk], Found], spill: BinaryIO) -> Source:
    """Tokenise a file of documents or questions, and write its tokens behind those of others."""
    pieces, documents = [np.empty(0, PIECE)], [np.empty(0, DOCUMENT)]
    rejected: list[Rejected] = []
    at = spill.tell() // 4
    number, largest = 0, -1
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # chunks are what runs in parallel
    for found in parallel.each(cut, list(_chunks(path))):
        found.tokens.tofile(spill)
        found.pieces["start"] += at
        found.pieces["document"] += number
        at += len(found.tokens)
        number += len(found.documents)
        largest = max(largest, int(found.tokens.max(initial=-1)))
        pieces.append(found.pieces)
        documents.append(found.documents)
        rejected += found.rejected
    return Source(path, np.concatenate(pieces), np.concatenate(documents), rejected, largest)


def titled(document: Document) -> str:
    """A document's text below its headings, which say what the text is about."""
    headings = " — ".join(document.section)
    return f"{headings}\n\n{document.text}" if headings else document.text


def texts(coder: Any, length: int, seed: int) -> Callable[[Chunk], Found]:
    """Documents with an end-of-text token after each, cut every `length` tokens.

    The first token of a piece has nothing before it, so it is not learned.
    """
    opening = prompts.opening(coder)
    closing = coder.eos_token_id
    backend = coder.backend_tokenizer

    def cut(chunk: Chunk) -> Found:
        backend.encode_special_tokens = True
        tokens: list[NDArray[np.int32]] = []
        pieces: list[tuple[int, ...]] = []
        documents: list[tuple[int, ...]] = []
        at = 0
        for batch in _batches(_lines(chunk)):
            read = [(place, Document(**row)) for place, row in batch]
            written = [titled(document) for _, document in read]
            encoded = backend.encode_batch(written, add_special_tokens=False)
            for (place, document), text, one in zip(read, written, encoded, strict=True):
                ids = np.array([*opening, *one.ids, closing], np.int32)

                def before(token: int, one: Any = one, text: str = text) -> int:
                    """Characters of the text that end before this token begins."""
                    token -= len(opening)
                    if token <= 0:
                        return 0
                    return one.token_to_chars(token - 1)[1] if token < len(one.ids) else len(text)

                for start in range(0, len(ids), length):
                    end = min(start + length, len(ids))
                    learned = text[before(start + 1) : before(end)]
                    size, number = end - start, len(documents)
                    pieces.append((at + start, size, size - 1, len(learned.encode()), number))
                documents.append((draw(seed, document.id), _hash(text), place))
                tokens.append(ids)
                at += len(ids)
        return _found(tokens, pieces, documents, [])

    return cut


def conversations(
    coder: Any,
    length: int,
    seed: int,
    options: Literal["shown", "hidden", "each"],
    system: str | None,
    *,
    template: bool,
    explain: bool,
) -> Callable[[Chunk], Found]:
    """Questions as conversations of which the right answer and its stop are learned.

    What comes before in a case, in the order of the file, is told with its right answers, as the
    protocol `progressive` tells it.
    """

    def cut(chunk: Chunk) -> Found:
        tokens: list[NDArray[np.int32]] = []
        pieces: list[tuple[int, ...]] = []
        documents: list[tuple[int, ...]] = []
        rejected: list[Rejected] = []
        at = 0
        for place, question, earlier in _in_cases(_lines(chunk), options):
            lessons = prompts.lessons(question, options, explain=explain)
            if not lessons:
                kind = question.kind + (f", as {question.form}" if question.form else "")
                detail = f"{kind}: nothing says what is right"
                rejected.append(
                    Rejected(id=question.id, reason=NO_ANSWER, detail=detail, item=question)
                )
            for user, told in lessons:
                asked = prompts.prompt(coder, user, system, earlier=earlier, template=template)
                answered = prompts.reply(coder, told, template=template)
                size = len(asked) + len(answered)
                if size > length:
                    detail = f"{size} tokens do not fit a block of {length}"
                    rejected.append(
                        Rejected(id=question.id, reason=TOO_LONG, detail=detail, item=question)
                    )
                    continue
                learned = len(told.encode())
                pieces.append((at, size, len(answered), learned, len(documents)))
                documents.append((draw(seed, question.group), _hash(user), place))
                tokens.append(np.array(asked + answered, np.int32))
                at += size
        return _found(tokens, pieces, documents, rejected)

    return cut


def _in_cases(
    lines: Iterator[tuple[int, dict[str, Any]]], options: Literal["shown", "hidden", "each"]
) -> Iterator[tuple[int, Question, list[tuple[str, str]]]]:
    """Each question, with its place and the turns before it in its case."""
    last: Question | None = None
    turns: list[tuple[str, str]] = []
    for place, row in lines:
        question = Question(**row)
        if last is None or not question.order or question.group != last.group:
            last, turns = None, []
        shown = prompts.after(question, last)
        yield place, shown, list(turns)
        if prompts.lessons(shown, options, explain=False):
            turns.append(prompts.whole(shown, options))
            last = question


def _found(
    tokens: list[NDArray[np.int32]],
    pieces: list[tuple[int, ...]],
    documents: list[tuple[int, ...]],
    rejected: list[Rejected],
) -> Found:
    joined = np.concatenate([np.empty(0, np.int32), *tokens])
    return Found(joined, np.array(pieces, PIECE), np.array(documents, DOCUMENT), rejected)


def _chunks(path: Path) -> Iterator[Chunk]:
    """A file in parts of whole lines, and of whole cases."""
    start, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while start < size:
            file.seek(start + CHUNK)
            file.readline()
            end = min(file.tell(), size)
            case = None
            for line in file:
                found = _case(line)
                if found is None or found != (case := case or found):
                    break
                end += len(line)
            yield Chunk(path, start, end)
            start = end


def _case(line: bytes) -> str | None:
    """The case that a line's question has a place in."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None  # told with its place where it is read
    return row["group"] if isinstance(row, dict) and row.get("order") else None


def _lines(chunk: Chunk) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's place, and what it says."""
    with chunk.path.open("rb") as file:
        place = file.seek(chunk.start)
        while place < chunk.end:
            line = file.readline()
            try:
                yield place, orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise Complaint(
                    f"{chunk.path}: at byte {place}: not a JSON line ({error})"
                ) from None
            place += len(line)


def _batches(
    lines: Iterator[tuple[int, dict[str, Any]]],
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    batch, size = [], 0
    for place, row in lines:
        batch.append((place, row))
        size += len(row["text"])
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
