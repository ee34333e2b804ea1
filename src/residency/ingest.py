"""ingest: raw files of any format become documents that say where they came from.

    file ── decoded ──> blocks: headings and paragraphs ──> passages, one per heading ──> Document

A file's extracted text is all its blocks joined by empty lines; a document's `start` and `end`
are offsets into that. Markdown is read as the HTML that it stands for, so there is one way in
which tables and lists become text.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from residency import step
from residency.files import write_rows
from residency.overlap import CJK, words
from residency.records import Document, Rejected, write_ledger
from residency.section import Complaint, Section

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from bs4.element import PageElement, Tag

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
LISTS = ("ol", "ul")
DROPPED = ("aside", "footer", "form", "nav", "noscript", "script", "style", "svg",
           "template")  # fmt: skip
BLOCKS = frozenset({*HEADINGS, *LISTS, "address", "article", "blockquote", "body", "center", "dd",
    "details", "div", "dl", "dt", "fieldset", "figcaption", "figure", "hr", "html", "li", "main",
    "p", "pre", "section", "summary", "table", "tbody", "td", "th", "thead", "tfoot",
    "tr"})  # fmt: skip


class Source(Section):
    """Raw text: a file or a folder, read by what each file is."""

    path: str = Field(min_length=1, description="File or folder, relative to params.yaml.")
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]+)*$", description="BCP 47 tag of the text, such as en."
    )
    licence: str = Field(min_length=1, description="SPDX identifier or a short name.")


PARAGRAPH = 7
"""The level of what is no heading."""


class Block(NamedTuple):
    """A paragraph, or a heading with its level: 0 is the file's title, 1 to 6 as in HTML."""

    text: str
    level: int = PARAGRAPH


class Passage(NamedTuple):
    """The paragraphs under one heading; `start` and `end` are offsets into the extracted text."""

    section: tuple[str, ...]
    start: int
    end: int
    text: str


class Unreadable(Exception):
    """Why a file gives no text: a countable reason and a detail."""


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
    passages = list(split(reader(decoded(content))))
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


def decoded(content: bytes) -> str:
    """The text of a file: UTF-8 or else what charset-normalizer finds; line ends become \\n.

    Raises Unreadable.
    """
    from charset_normalizer import from_bytes

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # not UTF-8, or UTF-16 that happens to be valid UTF-8
        # The default threshold of 0.2 turns away real GB18030 books full of rare characters.
        best = from_bytes(content, threshold=0.5).best()
        text = "\0" if best is None else str(best).removeprefix("\ufeff")
    if "\0" in text:
        raise Unreadable("undecodable", "neither UTF-8 nor any encoding that gives plain text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


# Plain text ──────────────────────────────────────────────────────────────────────────────────

_UNDERLINE = re.compile(r"(={3,}|-{3,})")
_ITEM = r"(?:[-*•]|\d{1,2}[.)])\s"
_CJK_BREAK = re.compile(
    rf"(?<=[\u3000-\u303f\uff00-\uffef{CJK}])\n(?=[\u3000-\u303f\uff00-\uffef{CJK}])"
)
_WRAP = re.compile(rf"\n(?!{_ITEM})")
_WIDEST = 120
"""No one wraps lines by hand beyond this many characters: wider ones are whole paragraphs."""


def read_text(text: str) -> Iterator[Block]:
    """Paragraphs between empty lines, hard-wrapped lines joined; underlined lines are headings."""
    for blank, run in groupby(map(str.strip, text.split("\n")), key=lambda line: not line):
        lines = [] if blank else list(run)
        while len(lines) > 1 and _UNDERLINE.fullmatch(lines[1]):
            yield Block(lines[0], 1 if lines[1][0] == "=" else 2)
            lines = lines[2:]
        if lines and max(map(len, lines)) > _WIDEST:
            yield from map(Block, lines)
        elif lines:
            yield Block(_WRAP.sub(" ", _CJK_BREAK.sub("", "\n".join(lines))))


# Markdown and HTML ───────────────────────────────────────────────────────────────────────────

_FRONT_MATTER = re.compile(
    r"\A(---|\+\+\+)[ \t]*\n.*?^(\1|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE
)
_BREAK = "\u2028"  # stands for <br>


def read_markdown(text: str) -> Iterator[Block]:
    """CommonMark with tables; front matter is dropped."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return read_html(parser.render(_FRONT_MATTER.sub("", text, count=1)))


def read_html(text: str) -> Iterator[Block]:
    """What a page says: without menus, forms and scripts, but with the headings in its header.

    A paragraph is a run of text with the same nearest block element. That holds as well for old
    pages that close none of their tags, which html.parser nests thousands deep.
    """
    from bs4 import BeautifulSoup
    from bs4.builder import ParserRejectedMarkup
    from bs4.element import Tag

    try:
        soup = BeautifulSoup(text, "html.parser")
    except ParserRejectedMarkup as error:
        raise Unreadable("unparsable", str(error)) from None
    _prepare(soup)
    if soup.title:
        title = _folded(soup.title.get_text())
        soup.title.clear()
        yield from [Block(title, 0)] if title else []
    owner: Tag | None = None
    run: list[str] = []
    for node in soup.descendants:
        if isinstance(node, Tag):
            ends = node.name in BLOCKS
            nearest = None
        elif _is_text(node):
            nearest = _nearest(node, BLOCKS)
            ends = nearest is not owner
        else:
            continue
        if ends:
            yield from _block(owner, "".join(run))
            owner, run = nearest, []
        if not isinstance(node, Tag):
            run.append(str(node))
    yield from _block(owner, "".join(run))


def _block(owner: Tag | None, text: str) -> Iterator[Block]:
    name = owner.name if owner else ""
    if name == "pre":
        parts = ["\n".join(line.rstrip() for line in text.split("\n") if line.strip())]
    elif name in HEADINGS:
        parts = [_folded(text)]
    else:
        parts = [_folded(part) for part in re.split(rf"{_BREAK}\s*{_BREAK}", text)]
    level = HEADINGS.index(name) + 1 if name in HEADINGS else PARAGRAPH
    return (Block(part, level) for part in parts if part)


def _prepare(soup: BeautifulSoup) -> None:
    """Leave a tree in which every paragraph is a run of text: tables and lists become <pre>.

    Tags are changed where they stand, because moving one costs a search among its siblings.
    """
    for dropped in soup(DROPPED):
        dropped.decompose()
    for header in soup("header"):
        for heading in header(HEADINGS):
            header.insert_before(heading)
        header.decompose()
    for line_break in soup("br"):
        line_break.string = _BREAK
    for term in soup("dt"):
        meaning = term.find_next_sibling(["dt", "dd"])
        if meaning and meaning.name == "dd":
            (meaning.find("p") or meaning).insert(0, f"{_folded(term.get_text())}: ")
            term.clear()
    for table in soup("table"):
        if not table.find([*HEADINGS, *LISTS, "dl", "pre", "table"]):  # otherwise it is a layout
            _set_lines(table, list(_table_lines(table)))
    for each in soup(LISTS):
        if not each.find([*HEADINGS, "dl", "p", "pre", "table"]):  # otherwise items are paragraphs
            _set_lines(each, list(_list_lines(each)))


def _set_lines(tag: Tag, lines: list[str]) -> None:
    tag.clear()
    tag.name = "pre"
    tag.string = "\n".join(lines)


def _table_lines(table: Tag) -> Iterator[str]:
    """A sentence per row, "header: cell; header: cell."; without headers "cell | cell"."""
    caption = table.find("caption")
    if caption:
        yield _sentence(_folded(caption.get_text()))
    text = _by_nearest(table, ("td", "th"))
    cells = defaultdict(list)
    for cell in table(["td", "th"]):
        cells[id(_nearest(cell, ("tr",)))].append(cell)
    rows = list(cells.values())
    headers: list[str] = []
    if len(rows) > 1 and all(cell.name == "th" for cell in rows[0]):
        headers = [text[id(cell)] for cell in rows.pop(0)]
    for row in rows:
        values = [text[id(cell)] for cell in row]
        if len(values) == len(headers):
            pairs = zip(headers, values, strict=True)
            named = (f"{name}: {value}" if name else value for name, value in pairs if value)
            yield _sentence("; ".join(named))
        elif any(values):
            yield " | ".join(values)


def _sentence(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?", ":", "。")) else f"{text}."


def _list_lines(root: Tag) -> Iterator[str]:
    """A line per item with its bullet or number, two spaces deeper for each list within."""
    text = _by_nearest(root, ("li",))
    numbers: Counter[int] = Counter()
    depths = {id(root): 0}
    for item in root("li"):
        inside = _nearest(item, LISTS)
        outside = _nearest(inside, LISTS)
        depth = depths.setdefault(id(inside), depths.get(id(outside), 0) + 1)
        numbers[id(inside)] += 1
        marker = f"{numbers[id(inside)]}." if inside and inside.name == "ol" else "-"
        if text[id(item)]:
            yield f"{'  ' * depth}{marker} {text[id(item)]}"


def _by_nearest(root: Tag, names: Collection[str]) -> dict[int, str]:
    """The text below `root` by the id of the nearest of its ancestors with one of these names."""
    texts: defaultdict[int, list[str]] = defaultdict(list)
    last = None
    for string in filter(_is_text, root.descendants):
        block = _nearest(string, BLOCKS)
        texts[id(_nearest(string, names))] += [str(string)] if block is last else [" ", str(string)]
        last = block
    return defaultdict(str, {owner: _folded("".join(parts)) for owner, parts in texts.items()})


def _is_text(node: PageElement) -> bool:
    from bs4.element import CData, NavigableString

    return type(node) in (NavigableString, CData)  # a comment is a subclass


def _nearest(node: PageElement | None, names: Collection[str]) -> Tag | None:
    parents = node.parents if node else ()
    return next((parent for parent in parents if parent.name in names), None)


def _folded(text: str) -> str:
    return " ".join(text.split())


READERS: dict[str, Callable[[str], Iterator[Block]]] = {
    ".htm": read_html,
    ".html": read_html,
    ".markdown": read_markdown,
    ".md": read_markdown,
    ".txt": read_text,
}


if __name__ == "__main__":
    step.run(ingest, Source)
