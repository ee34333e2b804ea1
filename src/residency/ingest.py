"""ingest: raw files of any format become documents that say where they came from.

    path or URL ── raw files, out of archives too ──> one child process each ──> Document
                                                       │ format, encoding
                                                       │ blocks: headings and paragraphs
                                                       └ passages, cut at headings and parts

A file's extracted text is all its blocks joined by empty lines; a document's `start` and `end`
are offsets into that. Whatever a hostile file does to the process that reads it, the file is in
the ledger and the next one is read.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

import orjson
from pydantic import Field, field_validator, model_validator

from residency import fetch, parallel, step, workers
from residency.files import read_json, sha256, write_json
from residency.reading import markup, plain
from residency.reading import rows as rows_of_texts
from residency.reading.blocks import PARAGRAPH, Block, Lost, Part, Unreadable
from residency.reading.formats import recognised
from residency.reading.rows import Rows
from residency.records import Document, Rejected
from residency.section import Complaint, Homepage, Section, Setback, Share
from residency.unpack import HEAD, Limits, Raw, opened, raw_files, zipped_format
from residency.words import count

if TYPE_CHECKING:
    pass


class Source(Section):
    """Raw text: a file, folder, archive or URL, read by what each file is."""

    path: str = Field(
        min_length=1, description="File or folder, relative to params.yaml, or a URL."
    )
    sha256: str | None = Field(
        pattern="^[0-9a-f]{64}$", description="Digest of what a URL gives; null for a path."
    )
    only: list[str] = Field(
        min_length=1,
        description="Patterns of the names below path to read, such as *.cnxml; ['*'] for all.",
    )
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="BCP 47 tag of the text, such as en."
    )
    licence: str = Field(min_length=1, description="SPDX identifier or a short name.")
    homepage: Homepage
    encoding: str | None = Field(
        description="Encoding of plain text, Markdown, HTML, LaTeX and CSV; null: found out."
    )
    rows: Rows | None = Field(
        description="Columns of JSONL, CSV, TSV and Parquet files of texts; null: none is read."
    )
    parts: list[Part] = Field(min_length=1, description="What to keep of textbooks.")
    limits: Limits = Field(description="How much a raw file may ask for.")
    max_rejected: Share = Field(
        description="Largest share of files without any text; more of them stop the build."
    )

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        try:
            "".encode(encoding or "utf-8")
        except LookupError:
            raise ValueError("expected an encoding that Python knows, such as gb18030") from None
        return encoding

    @model_validator(mode="after")
    def _url_with_digest(self) -> Self:
        if not fetch.is_url(self.path):
            if self.sha256 is not None:
                raise ValueError("sha256 is null for a path; DVC knows the file's own")
        elif not self.path.startswith(("http://", "https://")):
            raise ValueError(f"a URL begins with http:// or https://, found {self.path!r}")
        elif self.sha256 is None:
            raise ValueError(f"a URL needs the sha256 of what it gives: {self.path}")
        return self


class Passage(NamedTuple):
    """The paragraphs under one heading that are of one part.

    `start` and `end` are offsets into the extracted text; `pages` are the first and the last.
    """

    section: tuple[str, ...]
    part: Part
    pages: tuple[int, int] | None
    start: int
    end: int
    text: str


class Read(NamedTuple):
    """What reading one raw file gave; documents and ledger lines lie in files."""

    format: str | None
    encoding: str | None
    sha256: str | None
    bytes: int | None
    documents: int
    words: int
    lost: Counter[str]  # ledger lines by reason
    rejected: bool  # it gives no text at all
    problem: Rejected | None  # why


def ingest(source: Source, name: str, out: Path) -> None:
    """Read every file of a source into documents.jsonl; what cannot be read is in the ledger.

    `name`: of the source. files.jsonl says of every raw file and archive what it was found to be
    and what came of it. Names that begin with a dot are passed over. Raises Complaint when there
    is no text at all, or more files without any than the source allows.
    """
    kept = Counter({"files": 0, "documents": 0, "words": 0})
    reasons: Counter[str] = Counter()
    bad: Counter[str] = Counter()  # files without text by reason
    examples: dict[str, str] = {}  # the first problem of each reason
    with ExitStack() as stack:
        spool = Path(stack.enter_context(TemporaryDirectory(dir=out, prefix=".spool-")))
        texts, ledger, rows = (
            stack.enter_context((out / each).open("wb"))
            for each in ("documents.jsonl", "rejected.jsonl", "files.jsonl")
        )
        for task, result in stack.enter_context(closing(_results(source, name, spool))):
            if result.problem:
                ledger.write(_line(result.problem))
                example = f"{result.problem.id}: {result.problem.detail}"
                examples.setdefault(result.problem.reason, example)
            _append(texts, spool / f"{task.number}.documents")
            _append(ledger, spool / f"{task.number}.rejected")
            rows.write(_line(_row(task.raw, result)))
            kept.update(documents=result.documents, words=result.words)
            reasons += result.lost
            if result.rejected:
                bad.update(result.lost.keys())
                kept["rejected files"] += 1
            elif result.documents:
                kept["files"] += 1
    rejected = kept.pop("rejected files", 0)
    _judge(source, kept, rejected, bad, examples)
    write_json(out / "counts.json", {"kept": kept, "rejected": dict(sorted(reasons.items()))})


def phases(_source: Source) -> list[str]:
    """What can be shared out among jobs."""
    return ["read"]


def share(source: Source, name: str, phase: str, mine: Callable[[int], bool], out: Path) -> None:
    """Read the files whose numbers are `mine`; ingest finds that by parallel.shared.

    Where reading may go better another time, nothing is left: ingest tries it itself.
    """
    del phase
    for task, result in _results(source, name, out, mine):
        if not _PASSING & result.lost.keys():
            write_json(out / f"{task.number}.read", result._asdict())


_PASSING = {"crashed", "timed out"}
"""Reasons that another try, or another machine, may mend."""


class _Task(NamedTuple):
    number: int
    raw: Raw
    beforehand: Path | None  # where a job of its own may have read it


def _results(
    source: Source, name: str, spool: Path, mine: Callable[[int], bool] = lambda _number: True
) -> Generator[tuple[_Task, Read], None, None]:
    """The raw files whose numbers are `mine`, in order, with what reading them gave."""
    allowance = workers.Allowance(source.limits.seconds, source.limits.memory_bytes)
    run = partial(workers.each, allowance=allowance, processes=workers.cores())
    raws = raw_files(_root(source), source.path, source.limits, partial(_collection, run))
    tasks = (
        _Task(number, raw, parallel.shared("read", number))
        for number, raw in enumerate(raws)
        if mine(number)
    )
    with closing(run(partial(_read, source, name, spool), tasks)) as results:
        for task, result in results:
            if isinstance(result, workers.Failed):
                _forget(spool, task)
                result = _unread(task.raw, *result)
            yield task, result


def _root(source: Source) -> Path:
    if source.sha256 is not None:
        most = max(source.limits.unpacked_bytes, source.limits.file_bytes)
        return fetch.fetched(source.path, source.sha256, fetch.RAW, most)
    root = Path(source.path)
    if not root.exists():
        raise Complaint(f"path: {source.path} does not exist; expected a file or folder of text")
    return root


def _judge(
    source: Source, kept: Counter[str], rejected: int, bad: Counter[str], examples: dict[str, str]
) -> None:
    """Refuse what gives too little; a failed step's ledger is gone, so the message has examples."""
    counts = ", ".join(f"{count} {reason}" for reason, count in bad.most_common()) or "no files"
    if not kept["documents"] and not bad and "left out" in examples:
        raise Complaint(f"only: every file is left out, such as {examples['left out']}")
    told = "; ".join(examples[reason] for reason, _ in bad.most_common() if reason in examples)
    counts += f", such as {told}" if told else ""
    why = Setback if _PASSING & bad.keys() else Complaint
    if not kept["documents"]:
        raise why(f"path: no text in {source.path} ({counts}); expected files of {KNOWN}")
    total = kept["files"] + rejected
    if rejected > source.max_rejected * total:
        raise why(
            f"max_rejected: {rejected} of {total} files of {source.path} give no text ({counts}), "
            f"which is more than the share of {source.max_rejected:g}; mend or remove them, or "
            "allow more"
        )


def _row(raw: Raw, result: Read) -> dict[str, Any]:
    return {
        "file": raw.file,
        "sha256": result.sha256,
        "bytes": result.bytes,
        "format": result.format,
        "encoding": result.encoding,
        "documents": result.documents,
        "words": result.words,
        "lost": result.lost.total(),
    }


def _line(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _pieces(document: Document) -> Iterator[bytes]:
    """A document's line. orjson sets eight bytes aside for each one of a text, so in pieces."""
    if len(document.text) <= _PIECE:
        yield _line(document)
        return
    yield _line(replace(document, text="")).removesuffix(b'"}\n')
    for start in range(0, len(document.text), _PIECE):
        yield orjson.dumps(document.text[start : start + _PIECE])[1:-1]
    yield b'"}\n'


def _append(whole: IO[bytes], path: Path) -> None:
    if path.exists():
        with path.open("rb") as part:
            shutil.copyfileobj(part, whole, 1 << 20)
        path.unlink()


def _forget(spool: Path, task: _Task) -> None:
    for path in spool.glob(f"{task.number}.*"):
        path.unlink()


def _collection(run: Callable[..., Any], content: bytes) -> list[tuple[str, tuple[str, ...]]]:
    """The order of a book's modules, read in a child process like any other hostile file."""
    ((_, order),) = run(_collection_order, [content])
    if isinstance(order, workers.Failed):
        raise Unreadable(*order)
    return order  # type: ignore[no-any-return]


def _collection_order(content: bytes) -> list[tuple[str, tuple[str, ...]]]:
    from residency.reading import cnxml

    return cnxml.collection(content)


def _identity(raw: Raw) -> tuple[str | None, int | None]:
    """Digest and size of a raw file."""
    if raw.content is None:
        return None, None
    if isinstance(raw.content, bytes):
        return hashlib.sha256(raw.content).hexdigest(), len(raw.content)
    return sha256(raw.content), raw.content.stat().st_size


def _unread(raw: Raw, reason: str, detail: str, form: str | None = None) -> Read:
    problem = Rejected(id=raw.file, reason=reason, detail=detail, item=raw.file)
    return Read(form, None, *_identity(raw), 0, 0, Counter([reason]), True, problem)


def _read(source: Source, name: str, spool: Path, task: _Task) -> Read:
    """Read one raw file, in a child process, into files of JSON lines in the folder `spool`."""
    if task.beforehand and (task.beforehand / f"{task.number}.read").is_file():
        return _taken_over(task.beforehand, spool, task.number)
    raw = task.raw
    below = raw.file.removeprefix(f"{source.path.rstrip('/')}/")
    if not raw.container and not any(fnmatchcase(below, pattern) for pattern in source.only):
        return _unread(raw, "left out", f"matches none of {source.only}")._replace(rejected=False)
    if raw.problem:
        return _unread(raw, *raw.problem, form=raw.container)
    if raw.container or raw.content is None:
        return Read(raw.container, None, *_identity(raw), 0, 0, Counter(), False, None)
    form = None
    try:
        form = _format(raw)
        return _passages(source, name, spool, task, form)
    except Unreadable as problem:
        reason, detail = problem.args
    except OSError as error:
        reason, detail = "unreadable", str(error)
    except RecursionError:
        reason, detail = "failed", "nested too deep"
    _forget(spool, task)
    return _unread(raw, reason, detail, form)


def _taken_over(beforehand: Path, spool: Path, number: int) -> Read:
    for path in beforehand.glob(f"{number}.*"):
        shutil.copyfile(path, spool / path.name)
    row = read_json(beforehand / f"{number}.read")
    problem = row["problem"] and Rejected(**row["problem"])
    return Read(**{**row, "lost": Counter(row["lost"]), "problem": problem})


def _passages(source: Source, name: str, spool: Path, task: _Task, form: str) -> Read:
    raw = task.raw
    digest, size = _identity(raw)
    encoding, blocks = _blocks(source, raw, form)
    lost: Counter[str] = Counter()
    documents = found = 0
    with (
        _Spool(spool / f"{task.number}.documents") as texts,
        _Spool(spool / f"{task.number}.rejected") as ledger,
    ):

        def reject(identity: str, reason: str, detail: str, item: Any) -> None:
            lost[reason] += 1
            ledger.write(Rejected(id=identity, reason=reason, detail=detail, item=item))

        def readable() -> Iterator[Block]:
            for each in blocks:
                if isinstance(each, Lost):
                    reject(raw.file, each.reason, each.detail, raw.file)
                else:
                    yield each

        words_kept = 0
        for number, passage in enumerate(split(readable()), 1):
            found += 1
            document = Document(
                id=f"{raw.file}#{number}",
                source=name,
                file=raw.file,
                sha256=str(digest),
                section=_told_once((*raw.chapters, *passage.section)),
                pages=passage.pages,
                part=passage.part,
                start=passage.start,
                end=passage.end,
                language=source.language,
                licence=source.licence,
                text=passage.text,
            )
            if passage.part in source.parts:
                documents += 1
                words_kept += count(passage.text)
                texts.write(document)
            else:
                reject(document.id, passage.part, "a part that the source leaves out", document)
            if form in rows_of_texts.FORMATS:
                workers.progressed()
    problem = None
    if not found and not lost and form != COLLECTION:
        detail = f"{size} bytes without a paragraph"
        problem = Rejected(id=raw.file, reason="empty", detail=detail, item=raw.file)
        lost["empty"] += 1
    rejected = not found and form != COLLECTION
    return Read(form, encoding, digest, size, documents, words_kept, lost, rejected, problem)


@dataclass
class _Spool:
    """JSON lines on their way into a file, which is there only if there are any."""

    path: Path
    file: IO[bytes] | None = None

    def write(self, value: Any) -> None:
        if self.file is None:
            self.file = self.path.open("wb")
        self.file.writelines(_pieces(value) if isinstance(value, Document) else [_line(value)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file:
            self.file.close()


_PIECE = 1 << 20  # characters
COLLECTION = "cnxml collection"


def _format(raw: Raw) -> str:
    assert raw.content is not None
    with opened(raw.content) as stream:
        head = stream.read(HEAD)
        if head.startswith(b"PK\3\4"):
            form = zipped_format(stream)
            if form in (None, "office"):
                raise Unreadable("unknown format", "an office file of another kind than .docx")
            return str(form)
    return recognised(raw.file, head)


def _blocks(source: Source, raw: Raw, form: str) -> tuple[str | None, Iterator[Block | Lost]]:
    """The blocks of a file, and the encoding that it was found to be in where that is a question.

    Readers are imported when a file needs one.
    """
    assert raw.content is not None
    if form in rows_of_texts.FORMATS:
        return _rows(source, raw.content, form)
    content = raw.content if isinstance(raw.content, bytes) else raw.content.read_bytes()
    if form in READERS:
        text, encoding = plain.decode(content, source.encoding, source.language)
        del content
        return encoding, READERS[form](text)
    return None, _read_binary(content, form, source.language)


def _read_binary(content: bytes, form: str, language: str) -> Iterator[Block | Lost]:
    if form == "pdf":
        from residency.reading import pdf

        return pdf.read(content, language)
    if form == "epub":
        from residency.reading import epub

        return epub.read(content)
    if form == "docx":
        from residency.reading import word

        return word.read(content)
    if form == "jats":
        from residency.reading import jats

        return jats.read(content)
    from residency.reading import cnxml

    if form == COLLECTION:
        cnxml.collection(content)  # has no text, but may be broken
        return iter(())
    return cnxml.read(content)


def _rows(
    source: Source, content: Path | bytes, form: str
) -> tuple[str | None, Iterator[Block | Lost]]:
    if source.rows is None:
        raise Unreadable("rows not declared", f"{form}: declare the text's column under rows")
    encoding = None
    if form in ("csv", "tsv"):
        with opened(content) as stream:
            sample = stream.read(_SAMPLE)
        if len(sample) == _SAMPLE:
            sample = sample[: sample.rfind(b"\n") + 1 or None]
        encoding = plain.decode(sample, source.encoding, source.language).encoding

    def blocks() -> Iterator[Block | Lost]:
        assert source.rows is not None
        with opened(content) as stream:
            yield from rows_of_texts.read(stream, form, source.rows, encoding or "utf-8")

    return encoding, blocks()


_SAMPLE = 1 << 20  # bytes of a table to find its encoding by


def _read_latex(text: str) -> Iterator[Block | Lost]:
    from residency.reading import latex

    return latex.read(text)


READERS: dict[str, Callable[[str], Iterator[Block | Lost]]] = {
    "html": markup.read_html,
    "latex": _read_latex,
    "markdown": markup.read_markdown,
    "text": plain.read,
}
"""Readers of formats that are text in some encoding."""

KNOWN = (
    "plain text, Markdown, HTML, EPUB, PDF, DOCX, LaTeX, CNXML or JATS, archives of these, or "
    "rows of texts"
)


def extracted(blocks: Iterable[Block]) -> str:
    """The text of a whole file, which documents' offsets point into."""
    return "\n\n".join(block.text for block in blocks)


def split(blocks: Iterable[Block]) -> Iterator[Passage]:
    """Cut a file at its headings, and where another part begins.

    A heading with no paragraph of its own gives no passage. One that repeats the one above it, as
    a page's first often repeats its title, is told once in `section`.
    """
    above: list[Block] = []
    position = 0
    for (is_heading, part), run in groupby(
        blocks, key=lambda block: (block.level < PARAGRAPH, block.part)
    ):
        group = list(run)
        text = extracted(group)
        if is_heading:
            for heading in group:
                above = [each for each in above if each.level < heading.level] + [heading]
        else:
            section = _told_once(each.text for each in above)
            pages = sorted(block.page for block in group if block.page is not None)
            span = (pages[0], pages[-1]) if pages else None
            yield Passage(section, part, span, position, position + len(text), text)
        position += len(text) + len("\n\n")


def _told_once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name, _ in groupby(names))


if __name__ == "__main__":
    # Child processes find these by name, and a script has none.
    from residency import ingest as importable

    step.run(importable.ingest, importable.Source)
