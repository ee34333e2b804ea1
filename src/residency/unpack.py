"""The raw files of a source: those of a folder, and those inside archives, at any depth.

    for raw in raw_files(Path("data/raw"), "data/raw", limits, collection):
        raw.file      # data/raw/book.txt, or data/raw/books.zip!/shelf/book.txt

Nothing is unpacked to disk: a member is read into memory, a compressed tar into a file without a
name. What a hostile archive says of itself is not believed: what comes out is counted as it comes.
Folders and archives are read in the order of their names, OpenStax modules in their book's.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from pydantic import Field

from residency.reading.blocks import Unreadable
from residency.section import Section

HEAD = 1 << 14
"""Bytes from a file's start that are enough to recognise it by."""

_IN_MEMORY = 1 << 26  # bytes of an unpacked tar beyond which it goes into a file without a name
_DAMAGES = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error,
    EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip

Collection = Callable[[bytes], list[tuple[str, tuple[str, ...]]]]
"""Module ids in a book's order with the titles of the chapters that they stand in."""


class Limits(Section):
    """How much a raw file may ask for; what asks for more is in the ledger."""

    file_bytes: int = Field(ge=1, description="Largest file, or member of an archive, to read.")
    unpacked_bytes: int = Field(
        ge=1, description="Most bytes that one archive, with those inside it, may unpack to."
    )
    members: int = Field(ge=1, description="Most files that one archive may hold.")
    depth: int = Field(ge=0, description="How deep archives may lie in archives; 0 opens none.")
    seconds: float = Field(gt=0, description="Longest that reading one file may take.")
    memory_bytes: int = Field(
        ge=50_000_000, description="Most memory that reading one file may take."
    )


class Raw(NamedTuple):
    """A raw file: what it is called, its content or where that is, and why it is not to be read."""

    file: str
    content: Path | bytes | None
    container: str | None = None  # the format of an archive, which has no text of its own
    chapters: tuple[str, ...] = ()  # titles above the file's own, from a collection
    problem: tuple[str, str] | None = None  # a countable reason and a detail


class _Entry(NamedTuple):
    """A file of a folder or archive, not yet opened."""

    name: str
    open: Callable[[], IO[bytes]]
    path: Path | None = None
    problem: tuple[str, str] | None = None


class _Exhausted(Unreadable):
    """An archive unpacks to more than it may."""


@dataclass
class _Budget:
    """What one archive on disk may still unpack to."""

    left: int

    def take(self, amount: int) -> None:
        if amount > self.left:
            self.left = 0
            raise _Exhausted("too large", "unpacks to more than limits.unpacked_bytes")
        self.left -= amount


def files(root: Path) -> list[Path]:
    """The files below a folder by relative POSIX path, without hidden ones; or the file itself.

    Links count as files here: they may lead nowhere, or out of the folder.
    """
    if not root.is_dir():
        return [root]
    visible = (
        path
        for path in root.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    chosen = (path for path in visible if path.is_symlink() or not path.is_dir())
    return sorted(chosen, key=lambda path: path.relative_to(root).as_posix())


def raw_files(root: Path, called: str, limits: Limits, collection: Collection) -> Iterator[Raw]:
    """Every raw file of a file or folder, an archive after its members.

    `called`: what documents name `root`. Hidden files are passed over.
    """
    walk = _Walk(limits, collection)
    if root.is_dir():
        entries = [_on_disk(root, path) for path in files(root)]
        return walk.entries(entries, f"{called.rstrip('/')}/", None, 0)
    return walk.entries([_on_disk(root, root)._replace(name=called)], "", None, 0)


def _on_disk(root: Path, path: Path) -> _Entry:
    problem = None
    if path != root and not path.resolve().is_relative_to(root.resolve()):
        problem = "link out of the source", _printable(path.readlink().as_posix())
    elif not path.is_file():
        problem = "not a file", "a broken link, a link to a folder, or a device"
    name = _printable(path.relative_to(root).as_posix())
    return _Entry(name, partial(opened, path), path, problem)


def _printable(name: str) -> str:
    """A name as valid Unicode: bytes that are none are written as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class _Walk:
    """What holds for every folder and archive of a source."""

    limits: Limits
    collection: Collection

    def entries(
        self, entries: list[_Entry], above: str, budget: _Budget | None, depth: int
    ) -> Iterator[Raw]:
        """The raw files of a folder or archive, whose name and a `/` are `above`."""
        books = self._books(entries)
        last = len(books), ()

        def place(entry: _Entry) -> tuple[int, str]:
            return books.get(_module(entry.name), last)[0], entry.name

        for entry in sorted(entries, key=place):
            _, chapters = books.get(_module(entry.name), last)
            yield from self._entry(entry, f"{above}{entry.name}", chapters, budget, depth)

    def _books(self, entries: list[_Entry]) -> dict[str, tuple[int, tuple[str, ...]]]:
        """For each module id of the collections, its place in their order and its chapters."""
        books: dict[str, tuple[int, tuple[str, ...]]] = {}
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.endswith(".collection.xml") and not entry.problem:
                try:
                    content = self._content(entry, _Budget(self.limits.file_bytes))
                    order = self.collection(content)
                except (Unreadable, *_DAMAGES):
                    continue  # said in the ledger when the collection's own turn comes
                for module, chapters in order:
                    books.setdefault(module, (len(books), chapters))
        return books

    def _entry(
        self,
        entry: _Entry,
        file: str,
        chapters: tuple[str, ...],
        budget: _Budget | None,
        depth: int,
    ) -> Iterator[Raw]:
        content: Path | bytes | None = entry.path
        problem = entry.problem
        kind = None
        try:
            if not problem:
                content = entry.path or self._content(entry, budget)
                kind = container(content)
        except _Exhausted:
            raise
        except (Unreadable, *_DAMAGES) as error:
            problem = _worded(error)
        if problem:
            yield Raw(file, None if entry.problem else content, problem=problem)
        elif kind and depth >= self.limits.depth:
            problem = "too deep", f"{depth} archives above it; see limits.depth"
            yield Raw(file, content, kind, problem=problem)
        elif kind and content is not None:
            budget = budget or _Budget(self.limits.unpacked_bytes)
            yield from self._archive(content, kind, file, budget, depth)
        else:
            if isinstance(content, Path) and content.stat().st_size > self.limits.file_bytes:
                problem = "too large", f"{content.stat().st_size} bytes; see limits.file_bytes"
            yield Raw(file, content, chapters=chapters, problem=problem)

    def _content(self, entry: _Entry, budget: _Budget | None) -> bytes:
        budget = budget or _Budget(self.limits.file_bytes)
        with entry.open() as stream:
            content = stream.read(min(self.limits.file_bytes, budget.left) + 1)
        budget.take(len(content))
        if len(content) > self.limits.file_bytes:
            raise Unreadable("too large", f"more than {self.limits.file_bytes} bytes")
        return content

    def _archive(
        self, content: Path | bytes, kind: str, file: str, budget: _Budget, depth: int
    ) -> Iterator[Raw]:
        problem = None
        try:
            with opened(content) as stream, tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
                if kind == "zip":
                    entries = self._zipped(stream, budget)
                elif kind == "tar":
                    entries = self._tarred(stream, budget)
                else:
                    entries = self._compressed(stream, kind, file, budget, spool)
                yield from self.entries(entries, f"{file}!/", budget, depth + 1)
        except (Unreadable, *_DAMAGES) as error:
            problem = _worded(error)
        yield Raw(file, content, kind, problem=problem)

    def _zipped(self, stream: IO[bytes], budget: _Budget) -> list[_Entry]:
        archive = zipfile.ZipFile(stream)
        entries: list[_Entry] = []
        for info in archive.infolist():
            problem = None
            if stat.S_ISLNK(info.external_attr >> 16):
                problem = "unsafe path", "a link"
            elif info.flag_bits & 1:
                problem = "encrypted", "a member that needs a password"
            if not info.is_dir():
                self._add(entries, info.filename, partial(archive.open, info), problem)
        self._foresee(sum(info.file_size for info in archive.infolist()), budget)
        return _once(entries)

    def _tarred(self, stream: IO[bytes], budget: _Budget) -> list[_Entry]:
        archive = tarfile.TarFile(fileobj=stream)
        entries: list[_Entry] = []
        total = 0
        for info in archive:
            problem = None
            if info.issym() or info.islnk():
                problem = "unsafe path", f"a link to {_printable(info.linkname)}"
            elif not info.isfile():
                problem = "not a file", "a device or a pipe"
            if not info.isdir():
                total += info.size
                self._add(entries, info.name, partial(_extracted, archive, info), problem)
        self._foresee(total, budget)
        return _once(entries)

    def _compressed(
        self, stream: IO[bytes], kind: str, file: str, budget: _Budget, spool: IO[bytes]
    ) -> list[_Entry]:
        """The one file of a .gz, .bz2 or .xz, or those of the tar that it is."""

        def anew() -> IO[bytes]:
            stream.seek(0)
            return _uncompressed(stream, kind)

        with anew() as plain:
            head = plain.read(HEAD)
            if not _is_tar(head):
                name = PurePosixPath(file).name
                inner = re.sub(r"\.(gz|bz2|xz)$", "", name, flags=re.IGNORECASE)
                return [_Entry(inner, anew)]
            spool.write(head)
            while chunk := plain.read(1 << 20):
                spool.write(chunk)
                self._foresee(spool.tell(), budget)
        spool.seek(0)
        return self._tarred(spool, budget)

    def _foresee(self, total: int, budget: _Budget) -> None:
        if total > budget.left:
            budget.take(total)

    def _add(
        self,
        entries: list[_Entry],
        name: str,
        open_it: Callable[[], IO[bytes]],
        problem: tuple[str, str] | None,
    ) -> None:
        if len(entries) >= self.limits.members:
            raise Unreadable("too many members", f"more than {self.limits.members}")
        printable = _printable(name)
        if re.search(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\0", name):
            entries.append(_Entry(printable, open_it, problem=("unsafe path", printable)))
        else:
            tidy = PurePosixPath(printable)
            if any(part.startswith(".") for part in tidy.parts):
                return
            entries.append(_Entry(tidy.as_posix(), open_it, problem=problem))


def container(content: Path | bytes) -> str | None:
    """Which kind of archive a file is, if one; a document that is zipped inside is none.

    Raises Unreadable, or what zipfile raises, for a zip that is broken.
    """
    with opened(content) as stream:
        head = stream.read(HEAD)
        if head.startswith((b"PK\3\4", b"PK\5\6")):
            return None if zipped_format(stream) else "zip"
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if re.match(rb"BZh[1-9]1AY&SY", head):
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\0"):
        return "xz"
    return "tar" if _is_tar(head) else None


def zipped_format(stream: IO[bytes]) -> str | None:
    """The format of a document that is a zip inside; None for a plain zip."""
    archive = zipfile.ZipFile(stream)
    names = set(archive.namelist())
    if "META-INF/container.xml" in names and "mimetype" in names:
        return "epub"
    if "[Content_Types].xml" in names:
        return "docx" if "word/document.xml" in names else "office"
    return "office" if "content.xml" in names and "mimetype" in names else None


def opened(content: Path | bytes) -> IO[bytes]:
    """A stream of a raw file's content."""
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _once(entries: list[_Entry]) -> list[_Entry]:
    """Entries of which no two that can be read have one name: the first is it."""
    seen: set[str] = set()
    marked = []
    for entry in entries:
        if entry.name in seen and not entry.problem:
            problem = "duplicate name", "an earlier member of this name is read"
            entry = entry._replace(problem=problem)
        seen.add(entry.name)
        marked.append(entry)
    return marked


def _uncompressed(stream: IO[bytes], kind: str) -> IO[bytes]:
    if kind == "gzip":
        return io.BufferedReader(gzip.open(stream))
    return bz2.open(stream) if kind == "bzip2" else lzma.open(stream)


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    assert stream is not None  # only asked of regular files
    return stream


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _module(name: str) -> str:
    """The id of the CNXML module that a file would be: its folder's name, or its own."""
    path = PurePosixPath(name)
    return path.parent.name if path.name.startswith("index") else path.stem


def _worded(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Unreadable):
        reason, detail = error.args
        return reason, detail
    return "broken archive", f"{type(error).__name__}: {error}"[:500]
