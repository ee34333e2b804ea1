"""replies: the store of what models answered, so that nothing is asked, or paid, twice.

    work/replies/20260102T030405-9f86d081884c7d65.jsonl     one segment for each process that asked

A segment is only ever appended to, whole lines at a time, and flushed to disk before anyone is
told the reply. So a killed process loses what was under way; what it leaves half-written at the
end of its segment is seen to be so, and left out. The folder lies outside build/, whose outputs
DVC and Snakemake delete. Removing it is safe, and costs what the replies cost.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from residency.files import sync, work
from residency.section import Setback

_KEY, _OF = slice(8, 72), slice(80, 96)
_HEAD = b'{"key":"'
_MIDDLE, _MIDDLE_AT = b'","of":"', slice(72, 80)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply as it is stored; `key` and `of` come first in its line, and have a fixed length."""

    key: str  # sha256 of the model's identity and the request, 64 hexadecimal digits
    of: str  # the model's identity, 16 hexadecimal digits
    text: str
    prompt_tokens: int
    reply_tokens: int
    estimated: bool  # the server told no tokens; these are from above
    finish: str
    model: str
    asked_at: str
    seconds: float


class Store:
    """The segments of one folder, and this process's own.

    In memory is only where each reply lies. Segments of other processes are read on as they grow.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[bytes, tuple[Path, int, int]] = {}  # key -> segment, offset, length
        self._read: dict[Path, int] = {}  # segment -> bytes read
        self._models: set[bytes] = set()
        self._own: Path | None = None

    def look(self) -> None:
        """Take note of what was stored since the last time, by any process."""
        for path in sorted(self.folder.glob("*.jsonl")):
            start = self._read.get(path, 0)
            if path.stat().st_size > start:
                with path.open("rb") as file:
                    file.seek(start)
                    self._read[path] = self._note(path, start, file.read())

    def _note(self, path: Path, start: int, content: bytes) -> int:
        """Index whole lines; the offset behind the last of them."""
        at = 0
        while (end := content.find(b"\n", at)) >= 0:
            line = content[at:end]
            if line[:8] == _HEAD and line[_MIDDLE_AT] == _MIDDLE and line.endswith(b"}"):
                self._places[line[_KEY]] = (path, start + at, len(line))
                self._models.add(line[_OF])
            at = end + 1
        return start + at

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key.encode() in self._places

    def get(self, key: str) -> Answer | None:
        """The stored answer, or None; a damaged line is as if it were not there."""
        place = self._places.get(key.encode())
        if place is None:
            return None
        path, offset, length = place
        try:
            with path.open("rb") as file:
                file.seek(offset)
                answer = Answer(**orjson.loads(file.read(length)))
        except (OSError, orjson.JSONDecodeError, TypeError):
            answer = None
        if answer is None or answer.key != key:
            del self._places[key.encode()]
            return None
        return answer

    def knows(self, of: str) -> bool:
        """Whether a model has ever answered."""
        return of.encode() in self._models

    def keep(self, answers: Sequence[Answer]) -> None:
        """Append answers and flush them to disk; only then are they in the store.

        Raises Complaint where there is no room, or no right, to write.
        """
        lines = [orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in answers]
        try:
            if self._own is None:
                self._own = self._segment()
            start = self._read[self._own]
            content = b"".join(lines)
            with self._own.open("ab", buffering=0) as file:
                written = 0
                while written < len(content):
                    written += file.write(content[written:])
                os.fsync(file.fileno())
        except OSError as error:
            self._own = None  # whatever was half-written stays alone at the end of its segment
            raise Setback(
                f"{self.folder}: a reply cannot be stored ({error.strerror}): make room, or name "
                "another disk in RESIDENCY_WORK, and run the same command again"
            ) from None
        self._read[self._own] = self._note(self._own, start, content)

    def _segment(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        now = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        path = self.folder / f"{now}-{secrets.token_hex(8)}.jsonl"
        path.touch(exist_ok=False)
        sync(self.folder)
        sync(self.folder.parent)
        self._read[path] = 0
        return path


def store() -> Store:
    """The project's store, with all that is in it now."""
    found = _store(folder())
    found.look()
    return found


_store = cache(Store)


def folder() -> Path:
    """work/replies of the project."""
    return work() / "replies"
