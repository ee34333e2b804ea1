"""ingest: raw files of any format become documents that say where they came from.

    file ── decoded ──> blocks: headings and paragraphs ──> passages, one per heading ──> Document

A file's extracted text is all its blocks joined by empty lines; a document's `start` and `end`
are offsets into that. Markdown is read as the HTML that it stands for, so there is one way in
which tables and lists become text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from residency import step
from residency.files import write_rows
from residency.overlap import words
from residency.reading import markup, plain
from residency.reading.blocks import PARAGRAPH, Block, Unreadable
from residency.records import Document, Rejected, write_ledger
from residency.section import Complaint, Section


class Source(Section):
    """Raw text: a file or a folder, read by what each file is."""

    path: str = Field(min_length=1, description="File or folder, relative to params.yaml.")
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="BCP 47 tag of the text, such as en."
    )
    licence: str = Field(min_length=1, description="SPDX identifier or a short name.")


class Passage(NamedTuple):
    """The paragraphs under one heading; `start` and `end` are offsets into the extracted text."""

    section: tuple[str, ...]
    start: int
    end: int
    text: str


def ingest(source: Source, out: Path) -> None:
    """Read every file of a source into documents.jsonl; what cannot be read is in the ledger.

    Names that begin with a dot are passed over. Raises Complaint when there is no text at all.
    """
    root = Path(source.path)
    if not root.exists():
        raise Complaint(f"path: {source.path} does not exist; expected a file or folder of text")
    kept = Counter({"files": 0, "documents": 0, "words": 0})
    rejected: list[Rejected] = []

    def found() -> Iterator[Document]:
        for path in files(root):
            try:
                documents = list(_documents(source, root, path))
            except Unreadable as problem:
                reason, detail = problem.args
                file = path.as_posix()
                rejected.append(Rejected(id=file, reason=reason, detail=detail, item=file))
                continue
            kept["files"] += 1
            kept["documents"] += len(documents)
            kept["words"] += sum(len(words(each.text)) for each in documents)
            yield from documents

    write_rows(out / "documents.jsonl", found())
    if not kept["files"]:
        left_out = Counter(each.reason for each in rejected).most_common()
        counts = ", ".join(f"{count} {reason}" for reason, count in left_out) or "no files"
        raise Complaint(
            f"path: no text in {source.path} ({counts}); expected files ending in "
            + ", ".join(sorted(READERS))
        )
    write_ledger(out, dict(kept), rejected)


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


def _documents(source: Source, root: Path, path: Path) -> Iterator[Document]:
    if path != root and not path.resolve().is_relative_to(root.resolve()):
        raise Unreadable("link out of the source", path.readlink().as_posix())
    if not path.is_file():
        raise Unreadable("not a file", "a broken link, a link to a folder, or a device")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable("unknown format", path.suffix or "no suffix")
    content = path.read_bytes()
    passages = list(split(reader(plain.decoded(content))))
    if not passages:
        raise Unreadable("empty", f"{len(content)} bytes without a paragraph")
    digest = hashlib.sha256(content).hexdigest()
    for number, passage in enumerate(passages, 1):
        yield Document(
            id=f"{path.as_posix()}#{number}",
            source=source.path,
            file=path.as_posix(),
            sha256=digest,
            section=passage.section,
            start=passage.start,
            end=passage.end,
            language=source.language,
            licence=source.licence,
            text=passage.text,
        )


def extracted(blocks: Iterable[Block]) -> str:
    """The text of a whole file, which documents' offsets point into."""
    return "\n\n".join(block.text for block in blocks)


def split(blocks: Iterable[Block]) -> Iterator[Passage]:
    """Cut a file at its headings; a heading with no paragraph of its own gives no passage.

    A heading that repeats the one above it, as a page's first often repeats its title, is told
    once in `section`.
    """
    above: list[Block] = []
    position = 0
    for is_heading, run in groupby(blocks, key=lambda block: block.level < PARAGRAPH):
        group = list(run)
        text = extracted(group)
        if is_heading:
            for heading in group:
                above = [each for each in above if each.level < heading.level] + [heading]
        else:
            section = tuple(name for name, _ in groupby(each.text for each in above))
            yield Passage(section, position, position + len(text), text)
        position += len(text) + len("\n\n")


READERS: dict[str, Callable[[str], Iterator[Block]]] = {
    ".htm": markup.read_html,
    ".html": markup.read_html,
    ".markdown": markup.read_markdown,
    ".md": markup.read_markdown,
    ".txt": plain.read,
}


if __name__ == "__main__":
    step.run(ingest, Source)
