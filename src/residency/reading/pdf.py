"""PDF: the text layer of every page in reading order, or what Tesseract reads off its picture.

    page ── pdfium ──> fragments ── side by side ──> lines ── heads and feet off ──> columns
         └─ no text ── Tesseract ──> paragraphs <── joined over lines, columns, pages ──┘

pdfium (pypdfium2) and not pdfminer.six: it read the same book some thirty times faster, repairs
broken files, knows right-to-left text and draws scanned pages.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from residency.reading import layout, scan
from residency.reading.blocks import Block, Lost, Unreadable
from residency.reading.layout import Bookmark, Line, Page, cleaned

_FRAGMENT = re.compile("([^\r\n\ufffe]*[^\r\n\ufffe\\s])\\s*(\ufffe?)")
_SPACES = re.compile(r"\s+")
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_ALEF = "\u0622\u0623\u0625\u0627"
_LAM = "\u0644"
_STAMP = 100
"""A page with a picture and fewer characters of text than this may be a scan with a stamp."""

_FARTHEST = 1e6
"""No page reaches so far, in points; what claims to is put in the corner."""


def read(content: bytes, language: str = "en") -> Iterator[Block | Lost]:
    """The paragraphs, headings and losses of a PDF, in reading order with page numbers from 1.

    Headings are the outline's; without one, lines in larger type if there are few. `language` is
    a BCP 47 tag: it chooses Tesseract's model. Raises Unreadable: "encrypted", "unparsable",
    "empty".
    """
    pages, outline = _opened(content, language)
    yield from _losses(pages)
    yield from layout.told(pages, outline, language)


def _opened(content: bytes, language: str) -> tuple[list[Page], dict[int, list[Bookmark]]]:
    """All pages and the outline's entries by page number. Raises Unreadable."""
    import pypdfium2
    from pypdfium2 import raw

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise Unreadable("encrypted", "a password is needed to open it") from None
        raise Unreadable("unparsable", str(error)) from None
    try:
        count = len(document)
        if not count:
            raise Unreadable("empty", "a PDF without pages")
        pages = [_page(document, number, language) for number in range(1, count + 1)]
        if all(page.lost and page.lost.reason == "broken page" for page in pages):
            raise Unreadable("unparsable", f"none of its {count} pages can be loaded")
        return pages, _outline(document)
    finally:
        document.close()


def _losses(pages: list[Page]) -> Iterator[Lost]:
    """What was lost of each page; pages in a row that are broken are one loss."""
    for reason, run in groupby(pages, key=lambda page: page.lost and page.lost.reason):
        found = [page.lost for page in run if page.lost]
        if reason == "broken page" and len(found) > 1:
            yield Lost("broken page", f"{found[0].detail}, nor the {len(found) - 1} after it")
        else:
            yield from found


def _page(document: Any, number: int, language: str) -> Page:
    from pypdfium2 import raw

    page = Page(number)
    handle = raw.FPDF_LoadPage(document.raw, number - 1)
    if not handle:
        page.lost = Lost("broken page", f"page {number}: pdfium cannot load it")
        return page
    text = raw.FPDFText_LoadPage(handle)
    try:
        box = raw.FS_RECTF()
        raw.FPDF_GetPageBoundingBox(handle, box)
        rotation = raw.FPDFPage_GetRotation(handle)
        edges = (box.left, box.bottom, box.right, box.top)
        page.bottom, page.top = (box.bottom, box.top) if rotation % 2 == 0 else (0.0, box.right)
        characters = _read_text(page, text, rotation, edges) if text else 0
        if characters < _STAMP:
            scan.read(page, handle, edges, characters, language)
    finally:
        if text:
            raw.FPDFText_ClosePage(text)
        raw.FPDF_ClosePage(handle)
    return page


def _read_text(page: Page, text: Any, rotation: int, edges: tuple[float, ...]) -> int:
    """Fill a page's lines from its text layer; the number of characters there."""
    from pypdfium2 import raw

    count: int = raw.FPDFText_CountChars(text)
    if count <= 0:
        return 0
    buffer = (ctypes.c_ushort * (count + 1))()
    written = raw.FPDFText_GetText(text, 0, count, buffer)
    whole = bytes(buffer)[: 2 * (written - 1)].decode("utf-16-le", "replace")
    if "-" in whole:
        page.compounds = _compounds(whole)
    page.rtl = _RTL.search(whole) is not None
    layer = Layer(raw, text, rotation, edges, page.rtl)
    line: Line | None = None
    for words, hyphen, left, bottom, right, top in _fragments(layer, whole, count):
        found = Line(cleaned(words), left, bottom, right, top, top - bottom)
        if len(words) > 3 and found.top - found.bottom > 2 * (found.right - found.left):
            page.turned.append(found)
        elif line and _beside(line, found):
            _append(line, found)
        elif found.text:
            line = found
            page.lines.append(line)
        if hyphen and line:
            line.text += "-"
            line = None
    return count


class Layer(NamedTuple):
    """A page's text in pdfium, and how the page is shown: turned clockwise by quarters."""

    raw: Any  # pdfium's functions
    text: Any
    rotation: int
    edges: tuple[float, ...]  # of the page before it is turned: left, bottom, right, top
    rtl: bool


class Fragment(NamedTuple):
    """A run of text on one baseline as pdfium has it, `hyphen` if it ends in the midst of a word.

    The lower and upper edges are those of its type: of the first or the last character's, the
    larger, as the smaller may be an exponent; but not that of a bracket several lines high.
    """

    text: str
    hyphen: bool
    left: float
    bottom: float
    right: float
    top: float


def _fragments(layer: Layer, whole: str, count: int) -> Iterator[Fragment]:
    """A page's fragments in the order of its text; table rows are cut into cells."""
    raw, text, rotation, _, rtl = layer
    straight = len(whole) == count  # else some characters have no place in the text
    first, last = raw.FS_RECTF(), raw.FS_RECTF()
    box_of = raw.FPDFText_GetLooseCharBox
    found: list[Fragment] = []
    starts: list[int] = []
    doubtful: list[int] = []
    for match in _FRAGMENT.finditer(whole):
        words = match[1].lstrip()
        end = match.end(1) - 1
        start = end + 1 - len(words)
        if not straight:
            start = raw.FPDFText_GetCharIndexFromTextIndex(text, start)
            end = raw.FPDFText_GetCharIndexFromTextIndex(text, end)
        box_of(text, start, first)
        box_of(text, end, last)
        if rotation:
            _turn(layer, first)
            _turn(layer, last)
        left, bottom, right, top = first.left, first.bottom, last.right, first.top
        size, other = top - bottom, last.top - last.bottom
        if size < other < 1.6 * size or size > 1.6 * other > 0:
            bottom, top, size = last.bottom, last.top, other
        if right < left or rtl or last.bottom > first.top or last.top < first.bottom:
            left, right = min(left, last.left), max(right, first.right)
            bottom, top = min(bottom, last.bottom), max(top, last.top)
        if rtl or (
            " " in words
            and (right - left > 0.65 * size * len(words) or _apart(layer, start, end, size))
        ):
            doubtful.append(len(found))
        if not abs(left) + abs(bottom) + abs(right) + abs(top) < _FARTHEST:
            left = bottom = right = top = 0.0  # also where they are no numbers
        starts.append(start)
        found.append(Fragment(words, bool(match[2]), left, bottom, right, top))
    cut: dict[int, list[Fragment]] = {}
    while doubtful:
        place = doubtful.pop()
        if place not in cut and 0 <= place < len(found):
            cut[place] = list(_cells(layer, found[place], starts[place]))
            if len(cut[place]) > 1:  # a table's heads may be closer together than its cells
                doubtful += (place - 1, place + 1)
    for place, fragment in enumerate(found):
        yield from cut.get(place, (fragment,))


def _turn(layer: Layer, box: Any) -> None:
    """Move a character's box to where it is seen on a rotated page."""
    left, bottom, right, top = box.left, box.bottom, box.right, box.top
    edges = layer.edges
    if layer.rotation == 1:
        moved = bottom, edges[2] - right, top, edges[2] - left
    elif layer.rotation == 2:
        moved = edges[2] - right, edges[3] - top, edges[2] - left, edges[3] - bottom
    else:
        moved = edges[3] - top, left, edges[3] - bottom, right
    box.left, box.bottom, box.right, box.top = moved


def _apart(layer: Layer, start: int, end: int, size: float) -> bool:
    """Whether a fragment was drawn in pieces, with a wide gap between two of them."""
    raw, text = layer.raw, layer.text
    rectangles = raw.FPDFText_CountRects(text, start, end - start + 1)
    if rectangles < 2 or layer.rotation:
        return bool(rectangles > 1)
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    before = 0.0
    for index in range(rectangles):
        raw.FPDFText_GetRect(text, index, left, top, right, bottom)
        if index and left.value - before > 0.9 * size:
            return True
        before = right.value
    return False


def _cells(layer: Layer, fragment: Fragment, start: int) -> Iterator[Fragment]:
    """Cut a fragment where a gap is much wider than its spaces, or all gaps are wide."""
    words, size = fragment.text, fragment.top - fragment.bottom
    if layer.rtl and _RTL.search(words):
        words, left, right = _logical(layer, words, start)
        yield fragment._replace(text=words, left=left, right=right)
        return
    box_of = layer.raw.FPDFText_GetLooseCharBox
    before, after = layer.raw.FS_RECTF(), layer.raw.FS_RECTF()
    gaps: list[tuple[float, float, int, int]] = []
    for space in _SPACES.finditer(words):
        box_of(layer.text, start + space.start() - 1, before)
        box_of(layer.text, start + space.end(), after)
        if layer.rotation:
            _turn(layer, before)
            _turn(layer, after)
        gaps.append((before.right, after.left, space.start(), space.end()))
    begin, left = 0, fragment.left
    if gaps:
        least = min(right - left for left, right, _, _ in gaps)
        wide = 0.9 * size if least > 1.5 * size else max(0.9 * size, 2 * least)
        for right, next_left, end, next_begin in gaps:
            if next_left - right > wide:
                yield fragment._replace(text=words[begin:end], hyphen=False, left=left, right=right)
                begin, left = next_begin, next_left
    yield fragment._replace(text=words[begin:], left=left)


def _logical(layer: Layer, words: str, start: int) -> tuple[str, float, float]:
    """Right-to-left text put right: pdfium turns round what a single glyph stands for.

    Glyphs that stand for nothing known are left out; also gives the outermost edges.
    """
    raw, text = layer.raw, layer.text
    box = raw.FS_RECTF()
    x, y = ctypes.c_double(), ctypes.c_double()
    glyphs: list[tuple[float, str]] = []
    edges: list[float] = []
    index = start
    wanted = len(words)
    while wanted > 0 and (code := raw.FPDFText_GetUnicode(text, index)):
        raw.FPDFText_GetCharOrigin(text, index, x, y)
        raw.FPDFText_GetLooseCharBox(text, index, box)
        if layer.rotation:
            _turn(layer, box)
        if raw.FPDFText_GetTextIndexFromCharIndex(text, index) >= 0:
            wanted -= 1
        if raw.FPDFText_HasUnicodeMapError(text, index) != 1:
            glyphs.append((x.value, chr(code)))
            edges += (box.left, box.right)
        index += 1
    told = ""
    for _, run in groupby(glyphs, key=lambda glyph: (glyph[0], bool(_RTL.match(glyph[1])))):
        run_text = "".join(character for _, character in run)
        told += run_text[::-1] if _turned_round(run_text) else run_text
    return told, min(edges, default=0.0), max(edges, default=0.0)


def _turned_round(glyph: str) -> bool:
    """Whether the letters of one right-to-left glyph stand in the order of the page."""
    if len(glyph) < 2 or not _RTL.match(glyph):
        return False
    return (
        len(glyph) > 2
        or bool(unicodedata.combining(glyph[0]))
        or (glyph[0] in _ALEF and glyph[1] == _LAM)
    )


def _beside(line: Line, found: Line) -> bool:
    """Whether a fragment goes on with a line, as after an index or an exponent."""
    height = min(line.top - line.bottom, found.top - found.bottom)
    if min(line.top, found.top) - max(line.bottom, found.bottom) < 0.3 * height:
        return False
    gap = max(found.left - line.right, line.left - found.right)
    return -0.6 * line.size < gap < 0.9 * line.size


def _append(line: Line, found: Line) -> None:
    if not found.text:
        return
    gap = max(found.left - line.right, line.left - found.right)
    line.text += (" " if gap > 0.17 * line.size else "") + found.text
    if found.right - found.left > line.right - line.left:
        line.bottom, line.top, line.size = found.bottom, found.top, found.size
    line.left, line.right = min(line.left, found.left), max(line.right, found.right)


def _compounds(text: str) -> set[str]:
    """Words with a hyphen inside, as they stand within lines."""
    found = set()
    for before, after in pairwise(text.split("-")):
        if before[-1:].isalnum() and after[:1].isalnum():
            tail, head = before[-40:].split()[-1], after[:40].split()[0]
            found.add(f"{tail}-{head}".casefold().strip(".,;:!?()[]\"'"))
    return found


def _outline(document: Any) -> dict[int, list[Bookmark]]:
    from pypdfium2 import raw

    entries: dict[int, list[Bookmark]] = defaultdict(list)
    for entry in document.get_toc():
        target = entry.get_dest()
        page = target.get_index() if target else None
        size = raw.FPDFBookmark_GetTitle(entry, None, 0)
        buffer = ctypes.create_string_buffer(size)
        raw.FPDFBookmark_GetTitle(entry, buffer, size)  # get_title raises on half a character
        title = " ".join(cleaned(buffer.raw[: size - 2].decode("utf-16-le", "replace")).split())
        if page is None or not title:
            continue
        mode, point = target.get_view()
        left, top = point[:2] if mode == raw.PDFDEST_VIEW_XYZ and len(point) > 1 else (None, None)
        if left and top and not abs(left) + abs(top) < _FARTHEST:
            left = top = None
        entries[page + 1].append(Bookmark(title, min(entry.level + 1, 6), left, top))
    return entries
