"""HTML, and Markdown as the HTML that it stands for: one way for tables and lists to become text.

A paragraph is a run of text with the same nearest block element. That holds as well for old pages
that close none of their tags, which html.parser nests thousands deep.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from residency.reading.blocks import PARAGRAPH, Block, Unreadable

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
